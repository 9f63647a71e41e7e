import { PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import { defineMachine } from "../machine.ts";
import { StateReader, StateWriter } from "../state-bytes.ts";

/** Counters by name, whole numbers from -2^53 + 1 to 2^53 - 1. One that was never added to is 0, and takes no room. */
export type CounterCommand =
  /** Fetch and add. A delta of 0 reads it at a place in the log. */
  | { readonly kind: "add"; readonly name: string; readonly delta: number }
  /** Takes the next `count` numbers, from 1 on, that nobody else gets: before + 1 to after. */
  | { readonly kind: "take"; readonly name: string; readonly count: number };

export type CounterReply =
  | { readonly kind: "done"; readonly before: number; readonly after: number }
  /** The counter stays as it is. */
  | { readonly kind: "refused"; readonly reason: CounterRefusal };

export type CounterRefusal = "OUT_OF_RANGE" | "TOO_MANY_NAMES";

export interface CounterQuestion {
  readonly name: string;
}

export type Counters = Map<string, number>;

export const counters = defineMachine<Counters, CounterCommand, CounterReply, CounterQuestion, number>({
  name: "counters",
  version: 1,
  create: () => new Map(),
  apply: (state, command) => {
    const { name } = command;
    const before = state.get(name) ?? 0;
    const after = before + (command.kind === "add" ? command.delta : command.count);
    if (!Number.isSafeInteger(after)) return { kind: "refused", reason: "OUT_OF_RANGE" };
    if (after === before) return { kind: "done", before, after };
    if (!state.has(name) && state.size >= limits.countersMax) return { kind: "refused", reason: "TOO_MANY_NAMES" };
    state.set(name, after);
    return { kind: "done", before, after };
  },
  ask: (state, { name }) => state.get(name) ?? 0,
  *save(state) {
    const writer = new StateWriter();
    writer.number(state.size);
    for (const [name, value] of state) {
      writer.text(name);
      writer.signed(value);
      yield* writer.full();
    }
    yield* writer.rest();
  },
  load: (pieces, version) => {
    if (version !== 1) throw new PaxlogError("FORMAT_UNKNOWN", `counters of version ${version} cannot be read`);
    const reader = new StateReader(pieces);
    const state: Counters = new Map();
    for (let left = reader.number(); left > 0; left -= 1) state.set(reader.text(), reader.signed());
    reader.end();
    return state;
  },
});
