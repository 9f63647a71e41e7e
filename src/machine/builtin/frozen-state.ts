import type { ChangeLog } from "../change-log.ts";
import type { FrozenState } from "../machine.ts";
import { StateWriter } from "../state-bytes.ts";
import type { FrozenEntries, OrderedMap } from "./ordered-map.ts";

/** All pieces of a state, for whoever goes on only behind the last one: `save` of a machine that can be frozen. */
export function* piecesOf({ pieces, release }: FrozenState): Iterable<Uint8Array> {
  try {
    yield* pieces;
  } finally {
    release();
  }
}

/** A state that is values by name, each as `write` has it, and behind them the last changes. */
export function freezeNamed<Value extends object | number>(
  byName: OrderedMap<Value, string>,
  changes: Pick<ChangeLog<unknown>, "freeze">,
  write: (writer: StateWriter, name: string, value: Value) => void,
): FrozenState {
  const entries = byName.freeze();
  const frozenChanges = changes.freeze();
  const pieces = function* () {
    const writer = new StateWriter();
    yield* savedEntries(writer, entries, write);
    yield* frozenChanges.save(writer);
    yield* writer.rest();
  };
  return { pieces: pieces(), release: () => entries.end() };
}

/** The number of the entries, and each as `write` has it. Hands on what is full, as the owner of the writer does. */
export function* savedEntries<Value, Key extends string>(
  writer: StateWriter,
  entries: FrozenEntries<Value, Key>,
  write: (writer: StateWriter, key: Key, value: Value) => void,
): Iterable<Uint8Array> {
  writer.number(entries.size);
  for (let some = entries.next(); some !== undefined; some = entries.next()) {
    for (const [key, value] of some) {
      write(writer, key, value);
      if (writer.hasFull) yield* writer.full();
    }
  }
}
