import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { MachineChange } from "../machine/machine.ts";
import type { MachineWatchOptions } from "./machines.ts";

/** A replica in this program, as far as a watch looks at it. */
export interface WatchedReplica {
  readonly name: string;
  /** Behind the last command that was acknowledged before the call. */
  freshEnd(): Promise<number>;
  /** Everything below it is applied. Goes back where a command threw, and comes again. */
  applied(): number;
  /** Resolves once everything below the position is applied. */
  passed(position: number, signal: AbortSignal | undefined): Promise<void>;
  /** undefined: not remembered so far back. */
  changes(from: number, max: number): readonly MachineChange[] | undefined;
}

/** The changes of a replica, for as long as somebody takes them; whoever is slow finds them in the state, nothing waits for him. */
export function watchMachine(
  replica: WatchedReplica,
  { from, signal }: MachineWatchOptions,
): AsyncGenerator<MachineChange, void, void> {
  if (from !== undefined && !(Number.isSafeInteger(from) && from >= 1)) {
    throw new PaxlogError("INVALID_ARGUMENT", "from must be a position: a whole number from 1");
  }
  // "From now on" is from this call on, not from when the first change is taken.
  const begin = from === undefined ? tailOf(replica) : Promise.resolve(from);
  // Whoever takes a change hears of it.
  begin.catch(() => {});
  return changesFrom(replica, begin, signal);
}

async function tailOf(replica: WatchedReplica): Promise<number> {
  const applied = replica.applied();
  return Math.max(1, applied, await replica.freshEnd());
}

async function* changesFrom(
  replica: WatchedReplica,
  begin: Promise<number>,
  signal: AbortSignal | undefined,
): AsyncGenerator<MachineChange, void, void> {
  // Everything before it was told.
  let next = await begin;
  while (signal?.aborted !== true) {
    const end = replica.applied();
    if (end <= next) {
      if (!(await isPassed(replica, next + 1, signal))) return;
      continue;
    }
    const changes = replica.changes(next, limits.machineChangesStep);
    if (changes === undefined) throw changesGone(replica.name, next);
    next = changes.length < limits.machineChangesStep ? end : changes.at(-1)!.position + 1;
    for (const change of changes) {
      if (signal?.aborted) return;
      yield change;
    }
  }
}

/** False: nobody wants to know any more. */
async function isPassed(replica: WatchedReplica, position: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await replica.passed(position, signal);
    return true;
  } catch (error) {
    if (signal?.aborted) return false;
    throw error;
  }
}

function changesGone(machine: string, from: number): PaxlogError {
  const message = `the machine ${machine} does not remember its changes from ${from} on: ask anew, and watch from there`;
  return new PaxlogError("CHANGES_GONE", message, { facts: { machine, from } });
}
