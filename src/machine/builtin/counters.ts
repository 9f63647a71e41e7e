import { PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import { type ChangeForm, ChangeLog, type RecordedChange } from "../change-log.ts";
import { defineMachine, type FrozenState } from "../machine.ts";
import { StateReader } from "../state-bytes.ts";
import { freezeNamed, piecesOf } from "./frozen-state.ts";
import { OrderedMap } from "./ordered-map.ts";

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

export interface CounterChange {
  readonly name: string;
  /** After it. */
  readonly value: number;
}

export interface Counters {
  readonly byName: OrderedMap<number, string>;
  changes: ChangeLog<CounterChange>;
}

export const counters = defineMachine<Counters, CounterCommand, CounterReply, CounterQuestion, number>({
  name: "counters",
  version: 1,
  create: none,
  apply: (state, command, at) => {
    const { name } = command;
    const { byName } = state;
    const found = byName.get(name);
    const before = found ?? 0;
    const after = before + (command.kind === "add" ? command.delta : command.count);
    if (!Number.isSafeInteger(after)) return { kind: "refused", reason: "OUT_OF_RANGE" };
    if (after === before) return { kind: "done", before, after };
    if (found === undefined && byName.size >= limits.countersMax) return { kind: "refused", reason: "TOO_MANY_NAMES" };
    byName.set(name, after);
    state.changes.add(at.position, at.time, { name, value: after });
    return { kind: "done", before, after };
  },
  ask: ({ byName }, { name }) => byName.get(name) ?? 0,
  save: (state) => piecesOf(freeze(state)),
  freeze,
  load: (pieces, version) => {
    if (version !== 1) throw new PaxlogError("FORMAT_UNKNOWN", `counters of version ${version} cannot be read`);
    const reader = new StateReader(pieces);
    const state = none();
    for (let left = reader.number(); left > 0; left -= 1) state.byName.set(reader.text(), reader.signed());
    state.changes = ChangeLog.load(reader, changeBounds, changeForm);
    reader.end();
    return state;
  },
});

function none(): Counters {
  return { byName: new OrderedMap(), changes: new ChangeLog(changeBounds, changeForm) };
}

/** What a counter became, each time that it was changed. */
export function counterChanges(
  { changes }: Readonly<Counters>,
  { name }: CounterQuestion,
  from: number,
  max: number,
): readonly RecordedChange<number>[] | undefined {
  const found = changes.since(from, max, (change) => change.name === name);
  return found?.map(({ change, ...at }) => ({ ...at, change: change.value }));
}

function freeze({ byName, changes }: Readonly<Counters>): FrozenState {
  return freezeNamed(byName, changes, (writer, name, value) => {
    writer.text(name);
    writer.signed(value);
  });
}

const changeForm: ChangeForm<CounterChange> = {
  write: (writer, { name, value }) => {
    writer.text(name);
    writer.signed(value);
  },
  read: (reader) => ({ name: reader.text(), value: reader.signed() }),
};

const changeBounds = { count: limits.changesMax, bytes: limits.changesBytesMax };
