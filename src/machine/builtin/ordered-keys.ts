import type { ByteString } from "../byte-string.ts";

/** A full chunk is cut in two. Inserting moves half of one, finding one looks at as many chunks as the logarithm says. */
const chunkKeysMax = 512;

/** Keys from `begin` to below `end`; without `end` all from `begin` on. */
export interface KeyInterval<Key extends string = ByteString> {
  readonly begin: Key;
  readonly end: Key | undefined;
  /** It has no other key than `begin`. */
  readonly isAlone?: boolean;
}

/** A place between two keys: in front of the key at `index` of the chunk. */
interface Place {
  readonly chunk: number;
  readonly index: number;
}

/**
 * A set of keys in the order of their bytes, or of the code units of a text: a list of sorted lists, the leaves of a tree of which the
 * rest is not worth its code.
 */
export class OrderedKeys<Key extends string = ByteString> {
  /** Every chunk has a key; the last of one is below the first of the next. */
  readonly #chunks: Key[][] = [];

  /** A key that is not in it. */
  add(key: Key): void {
    const last = this.#chunks.at(-1);
    if (last === undefined || key > last.at(-1)!) return this.#append(key, last);
    const { chunk, index } = this.#placeOf(key);
    const keys = this.#chunks[chunk]!;
    keys.splice(index, 0, key);
    if (keys.length > chunkKeysMax) this.#chunks.splice(chunk + 1, 0, keys.splice(keys.length >>> 1));
  }

  /** A key that is in it. */
  delete(key: Key): void {
    const { chunk, index } = this.#placeOf(key);
    const keys = this.#chunks[chunk]!;
    keys.splice(index, 1);
    if (keys.length === 0) this.#chunks.splice(chunk, 1);
  }

  count({ begin, end }: KeyInterval<Key>): number {
    if (end !== undefined && end <= begin) return 0;
    const from = this.#placeOf(begin);
    const to = end === undefined ? { chunk: this.#chunks.length, index: 0 } : this.#placeOf(end);
    let count = to.index - from.index;
    for (let chunk = from.chunk; chunk < to.chunk; chunk += 1) count += this.#chunks[chunk]!.length;
    return count;
  }

  /** In order, or in reverse. Nothing may be added or deleted meanwhile. */
  *keys(interval: KeyInterval<Key>, reverse = false): Iterable<Key> {
    let left = this.count(interval);
    if (left === 0) return;
    if (reverse) {
      yield* this.#backward(interval.end, left);
      return;
    }
    let { chunk, index } = this.#placeOf(interval.begin);
    for (; left > 0; left -= 1) {
      const keys = this.#chunks[chunk]!;
      yield keys[index]!;
      index += 1;
      if (index < keys.length) continue;
      chunk += 1;
      index = 0;
    }
  }

  /** The first keys behind one, or the first of all: at most `max`. */
  behind(key: Key | undefined, max: number): Key[] {
    // No key is between one and itself with the smallest code unit behind it.
    const { chunk, index } = key === undefined ? { chunk: 0, index: 0 } : this.#placeOf(`${key}\0` as Key);
    const found: Key[] = this.#chunks[chunk]?.slice(index, index + max) ?? [];
    for (let next = chunk + 1; found.length < max && next < this.#chunks.length; next += 1) {
      found.push(...this.#chunks[next]!.slice(0, max - found.length));
    }
    return found;
  }

  *#backward(end: Key | undefined, count: number): Iterable<Key> {
    let { chunk, index } = end === undefined ? { chunk: this.#chunks.length, index: 0 } : this.#placeOf(end);
    for (let left = count; left > 0; left -= 1) {
      if (index === 0) {
        chunk -= 1;
        index = this.#chunks[chunk]!.length;
      }
      index -= 1;
      yield this.#chunks[chunk]![index]!;
    }
  }

  /** Behind all others: so that keys which come in order fill their chunks. */
  #append(key: Key, last: Key[] | undefined): void {
    if (last === undefined || last.length >= chunkKeysMax) this.#chunks.push([key]);
    else last.push(key);
  }

  /** In front of the first key that is not below this one. */
  #placeOf(key: Key): Place {
    let [low, high] = [0, this.#chunks.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#chunks[middle]!.at(-1)! < key) low = middle + 1;
      else high = middle;
    }
    const chunk = low;
    const keys = this.#chunks[chunk] ?? [];
    [low, high] = [0, keys.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return { chunk, index: low };
  }
}
