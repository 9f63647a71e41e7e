/** Which code applies a command: the one that was activated at its position, and no other. */
import { PaxlogError } from "../base/errors.ts";
import type { Activated } from "./activated.ts";

/**
 * What the code of a node does with the records of its machine, as long as the log says nothing new of it:
 *
 *   applies   it is the activated one, or comes with the node
 *   tries     nothing was activated yet: it applies what the first activated code will, if it is that one; nobody sees it before
 *   passes    an older version is activated: its commands are not for this code
 *   differs   the log has activated another code than this
 */
export type CodeUse = "applies" | "tries" | "passes" | "differs";

/** `isBuiltin`: the machine comes with the node, and what is activated for it are its procedures. */
export function codeUseOf(own: Activated | undefined, activated: Activated | undefined, isBuiltin: boolean): CodeUse {
  if (activated === undefined) return own === undefined || isBuiltin ? "applies" : "tries";
  if (isSame(own, activated)) return "applies";
  return own !== undefined && own.version > activated.version ? "passes" : "differs";
}

export const isSame = (own: Activated | undefined, activated: Activated): boolean =>
  own?.version === activated.version && own.code === activated.code;

export function otherCode(machine: string, own: Activated | undefined, { version, code }: Activated): PaxlogError {
  const has = own === undefined ? "none" : `version ${own.version} with SHA-256 ${own.code}`;
  return stoppedBy(
    machine,
    `the code of ${machine} that is activated is version ${version} with SHA-256 ${code}, this node has ${has}: ` +
      "start it with the code that the others have",
  );
}

/** `before`: what was activated before the own code; undefined: nothing. */
export function waitsForState(machine: string, position: number, before: Activated | undefined): PaxlogError {
  return stoppedBy(
    machine,
    `this node waits for a state of ${machine} that another node saved: commands below ${position} are for ${nameOf(before)}, ` +
      "which it has not",
  );
}

export function lacksState(machine: string, position: number, before: Activated | undefined): PaxlogError {
  return stoppedBy(
    machine,
    `commands of ${machine} below ${position} are for ${nameOf(before)}, and no node has a state that holds what they did: ` +
      "start one node with that code, which applies them and saves the state, then all with the new one",
  );
}

const nameOf = (before: Activated | undefined): string =>
  before === undefined ? "the code before it" : `version ${before.version} with SHA-256 ${before.code}`;

const stoppedBy = (machine: string, message: string): PaxlogError =>
  new PaxlogError("MACHINE_STOPPED", message, { facts: { machine } });
