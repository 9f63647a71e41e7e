import { PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import { type ByteString, bytesOf, emptyByteString } from "../byte-string.ts";
import { type ChangeForm, ChangeLog, type FrozenChanges } from "../change-log.ts";
import type { ApplyContext, FrozenState } from "../machine.ts";
import { StateReader, StateWriter } from "../state-bytes.ts";
import { piecesOf, savedEntries } from "./frozen-state.ts";
import type { KeyInterval } from "./ordered-keys.ts";
import { type FrozenEntries, OrderedMap } from "./ordered-map.ts";
import type { SpaceEntries, SpaceEntry, SpaceRange } from "./space-values.ts";

/** Of a saved space: machines of several names and versions hold one. */
const form = 1;

/** What stands at a key. Never changed, only replaced: the log of changes and transactions under way hold it too. */
export interface StoredValue {
  readonly value: ByteString;
  readonly created: number;
  readonly version: number;
  readonly writes: number;
  readonly session: number;
}

export interface KeyChange {
  readonly key: ByteString;
  /** undefined: it was deleted. */
  readonly stored: StoredValue | undefined;
}

/** Keys in order, each with its value. */
export class KeySpace {
  readonly #stored = new OrderedMap<StoredValue>();
  /** Of each session the keys that are bound to it. */
  readonly #bound = new Map<number, Set<ByteString>>();
  readonly #bytesMax: number;
  #bytes = 0;
  changes = new ChangeLog(changeBounds, changeForm);

  constructor(bytesMax: number = limits.spaceBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#stored.size;
  }

  /** Of all keys and values, and about what they take beside them. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: ByteString): StoredValue | undefined {
    return this.#stored.get(key);
  }

  /** Whether a key may have this value: by the limits of the space. */
  hasRoom(key: ByteString, value: ByteString): boolean {
    const before = this.#stored.get(key);
    if (before === undefined && this.size >= limits.spaceKeysMax) return false;
    return this.#bytes + sizeOf(key, value) - (before ? sizeOf(key, before.value) : 0) <= this.#bytesMax;
  }

  set(key: ByteString, stored: StoredValue | undefined): void {
    const before = this.#stored.get(key);
    if (before !== undefined) {
      this.#bytes -= sizeOf(key, before.value);
      if (before.session !== stored?.session) this.#release(before.session, key);
    }
    if (stored === undefined) {
      if (before === undefined) return;
      this.#stored.delete(key);
      return;
    }
    this.#stored.set(key, stored);
    this.#bytes += sizeOf(key, stored.value);
    if (stored.session === 0) return;
    const keys = this.#bound.get(stored.session) ?? new Set();
    this.#bound.set(stored.session, keys.add(key));
  }

  /** Deletes what is bound to it, in the order of the keys: the same on a replica that began with a saved state. */
  endSession({ position, time, session }: Pick<ApplyContext, "position" | "time" | "session">): void {
    for (const key of [...(this.#bound.get(session) ?? [])].sort()) {
      this.set(key, undefined);
      this.changes.add(position, time, { key, stored: undefined });
    }
  }

  count(interval: KeyInterval): number {
    return this.#stored.count(interval);
  }

  keys(interval: KeyInterval, reverse = false): Iterable<ByteString> {
    return this.#stored.keys(interval, reverse);
  }

  save(): Iterable<Uint8Array> {
    return piecesOf(this.freeze());
  }

  /** As `Machine.freeze`. */
  freeze(): FrozenState {
    const entries = this.#stored.freeze();
    const changes = this.changes.freeze();
    return { pieces: saved(entries, changes), release: () => entries.end() };
  }

  /** The state of `save`. @throws PaxlogError FORMAT_UNKNOWN, RangeError. */
  static load(pieces: Iterable<Uint8Array>): KeySpace {
    const reader = new StateReader(pieces);
    const found = reader.number();
    if (found !== form) throw new PaxlogError("FORMAT_UNKNOWN", `a space of the form ${found} cannot be read`);
    const space = new KeySpace();
    for (let left = reader.number(); left > 0; left -= 1) space.set(reader.byteString(), readStored(reader));
    space.changes = ChangeLog.load(reader, changeBounds, changeForm);
    reader.end();
    return space;
  }

  #release(session: number, key: ByteString): void {
    const keys = this.#bound.get(session);
    keys?.delete(key);
    if (keys?.size === 0) this.#bound.delete(session);
  }
}

function* saved(entries: FrozenEntries<StoredValue, ByteString>, changes: FrozenChanges) {
  const writer = new StateWriter();
  writer.number(form);
  yield* savedEntries(writer, entries, (_, key, stored) => {
    writer.byteString(key);
    writeStored(writer, stored);
  });
  yield* changes.save(writer);
  yield* writer.rest();
}

/** A single key is the range that ends right behind it. */
export function intervalOf(key: ByteString, end: ByteString | undefined): KeyInterval {
  if (end === undefined) return { begin: key, end: `${key}\0` as ByteString, isAlone: true };
  return { begin: key, end: end === "\0" ? undefined : end };
}

/** Bytes that a reply or an answer has left for entries. */
export interface Room {
  left: number;
}

/**
 * The entries of a range, as many as there is room for; `looked` is told of each. undefined where there are some, and no room for the
 * first of them.
 */
export function entriesIn(
  space: Pick<KeySpace, "count" | "keys" | "get">,
  interval: KeyInterval,
  range: Omit<SpaceRange, "keys">,
  room: Room,
  looked: (key: ByteString, stored: StoredValue) => void,
): SpaceEntries | undefined {
  const { limit, keysOnly, countOnly, reverse } = range;
  const count = space.count(interval);
  if (countOnly || count === 0) return { entries: [], more: false, count };
  const entries: SpaceEntry[] = [];
  for (const key of space.keys(interval, reverse)) {
    if (limit > 0 && entries.length >= limit) break;
    const stored = space.get(key)!;
    const entry = entryOf(key, stored, !keysOnly);
    const bytes = entryBytes(entry);
    if (bytes > room.left) break;
    room.left -= bytes;
    looked(key, stored);
    entries.push(entry);
  }
  return entries.length === 0 ? undefined : { entries, more: entries.length < count, count };
}

/** What an entry takes in a message, at most. */
export const entryBytes = ({ key, value }: SpaceEntry): number => key.length + value.length + 64;

export function entryOf(key: ByteString, stored: StoredValue | undefined, withValue = true): SpaceEntry {
  if (stored === undefined) {
    return { key: bytesOf(key), value: bytesOf(emptyByteString), created: 0, version: 0, writes: 0, session: 0 };
  }
  const { value, ...rest } = stored;
  return { key: bytesOf(key), value: bytesOf(withValue ? value : emptyByteString), ...rest };
}

const sizeOf = (key: ByteString, value: ByteString): number => key.length + value.length + limits.spaceKeyOverheadBytes;

function writeStored(writer: StateWriter, { value, created, version, writes, session }: StoredValue): void {
  writer.byteString(value);
  writer.number(created);
  writer.number(version);
  writer.number(writes);
  writer.number(session);
}

function readStored(reader: StateReader): StoredValue {
  const value = reader.byteString();
  const [created, version, writes, session] = [reader.number(), reader.number(), reader.number(), reader.number()];
  return { value, created, version, writes, session };
}

const changeForm: ChangeForm<KeyChange> = {
  write: (writer, { key, stored }) => {
    writer.byteString(key);
    writer.flag(stored !== undefined);
    if (stored !== undefined) writeStored(writer, stored);
  },
  read: (reader) => ({ key: reader.byteString(), stored: reader.flag() ? readStored(reader) : undefined }),
};

const changeBounds = { count: limits.changesMax, bytes: limits.changesBytesMax };
