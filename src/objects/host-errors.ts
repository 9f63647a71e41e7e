/** What those hear who ask for what a machine on this node cannot give. */
import { PaxlogError } from "../base/errors.ts";

export function changesGone(machine: string, from: number): PaxlogError {
  const message = `the machine ${machine} does not remember its changes from ${from} on: ask anew, and watch from there`;
  return new PaxlogError("CHANGES_GONE", message, { facts: { machine, from } });
}

/** `lacks`: it has not, and will not have by itself; otherwise it will. */
export function noSuchState(machine: string, lacks: boolean): PaxlogError {
  const message = `the machine ${machine} has no such state on this node${lacks ? "" : " yet"}`;
  return new PaxlogError(lacks ? "POSITION_BELOW_HEAD" : "UNAVAILABLE", message, { facts: { machine } });
}

export function stoppedHere(machine: string, cause: PaxlogError): PaxlogError {
  if (cause.code === "CLOSED") return cause;
  const message = `the machine ${machine} stopped on this node: ${cause.message}`;
  return new PaxlogError("MACHINE_STOPPED", message, {
    cause,
    retryable: true,
    facts: { ...cause.facts, machine, reason: cause.code },
  });
}
