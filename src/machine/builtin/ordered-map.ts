import type { ByteString } from "../byte-string.ts";
import { type KeyInterval, OrderedKeys } from "./ordered-keys.ts";

/** Entries that one step of a frozen view hands on, at most. */
const sliceEntries = 256;

/** Values at keys, found by their key and listed in the order of the keys. Values are never changed, only replaced. */
export class OrderedMap<Value extends object | number | string, Key extends string = ByteString> {
  readonly #values = new Map<Key, Value>();
  readonly #order = new OrderedKeys<Key>();
  /** Views that are not over: they are told of every change before it is made. */
  readonly #views = new Set<FrozenEntries<Value, Key>>();

  get size(): number {
    return this.#values.size;
  }

  get(key: Key): Value | undefined {
    return this.#values.get(key);
  }

  has(key: Key): boolean {
    return this.#values.has(key);
  }

  set(key: Key, value: Value): void {
    const before = this.#values.get(key);
    for (const view of this.#views) view.keep(key, before);
    if (before === undefined) this.#order.add(key);
    this.#values.set(key, value);
  }

  /** A key that may not be there. */
  delete(key: Key): void {
    const before = this.#values.get(key);
    if (before === undefined) return;
    for (const view of this.#views) view.keep(key, before);
    this.#values.delete(key);
    this.#order.delete(key);
  }

  count(interval: KeyInterval<Key>): number {
    if (interval.isAlone === true) return this.#values.has(interval.begin) ? 1 : 0;
    return this.#order.count(interval);
  }

  /** In order, or in reverse. Nothing may be set or deleted meanwhile. */
  keys(interval: KeyInterval<Key>, reverse = false): Iterable<Key> {
    // Most ranges are one key, and the map has it at once.
    if (interval.isAlone === true) return this.#values.has(interval.begin) ? [interval.begin] : [];
    return this.#order.keys(interval, reverse);
  }

  /** All entries as they are now, to be taken later. It costs nothing but what is set and deleted until it is over. */
  freeze(): FrozenEntries<Value, Key> {
    const view = new FrozenEntries(this.#values, this.#order, () => this.#views.delete(view));
    this.#views.add(view);
    return view;
  }
}

/**
 * The entries of an OrderedMap as they were at one moment, taken in the order of their keys while the map goes on. What must hold: of
 * every key behind the last one taken, the value of then is the one that was kept when it was first changed, or else the one in the map.
 * So a change keeps what was there before it, once, and only in front of the taker; what was taken is forgotten.
 */
export class FrozenEntries<Value, Key extends string> {
  readonly size: number;
  readonly #values: ReadonlyMap<Key, Value>;
  readonly #order: OrderedKeys<Key>;
  readonly #onEnd: () => void;
  /** Of keys that were changed since: the value of then; undefined for those that were not there. */
  readonly #before = new Map<Key, Value | undefined>();
  /** Those of them that were there, for they may be missing in the map now. */
  readonly #kept = new OrderedKeys<Key>();
  /** Everything up to it was taken. */
  #taken: Key | undefined;
  #isOver = false;

  constructor(values: ReadonlyMap<Key, Value>, order: OrderedKeys<Key>, onEnd: () => void) {
    this.size = values.size;
    this.#values = values;
    this.#order = order;
    this.#onEnd = onEnd;
  }

  /** A key is about to be changed from this value; undefined: it is not there. */
  keep(key: Key, value: Value | undefined): void {
    if (this.#taken !== undefined && key <= this.#taken) return;
    if (this.#before.has(key)) return;
    this.#before.set(key, value);
    if (value !== undefined) this.#kept.add(key);
  }

  /** The next entries, none in a step where all was new; undefined: that was all. Anything may be changed between two steps. */
  next(): readonly (readonly [Key, Value])[] | undefined {
    if (this.#isOver) return undefined;
    const there = this.#order.behind(this.#taken, sliceEntries);
    const kept = this.#kept.behind(this.#taken, sliceEntries);
    if (there.length === 0 && kept.length === 0) {
      this.end();
      return undefined;
    }
    const entries: (readonly [Key, Value])[] = [];
    // Behind the last one of a full list there may be more of it: no further.
    for (let [t, k] = [0, 0]; !(isAllOf(there, t) || isAllOf(kept, k)); ) {
      const [one, other] = [there[t], kept[k]];
      if (one === undefined && other === undefined) break;
      const key = (other === undefined || (one !== undefined && one <= other) ? one : other)!;
      if (key === one) t += 1;
      if (key === other) {
        k += 1;
        this.#kept.delete(key);
      }
      const value = this.#before.has(key) ? this.#before.get(key) : this.#values.get(key);
      this.#before.delete(key);
      if (value !== undefined) entries.push([key, value]);
      this.#taken = key;
    }
    return entries;
  }

  /** Nothing more is taken. */
  end(): void {
    this.#isOver = true;
    this.#onEnd();
  }
}

const isAllOf = (list: readonly string[], taken: number): boolean => taken === sliceEntries && list.length === taken;
