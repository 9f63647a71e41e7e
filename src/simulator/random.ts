import { assert } from "../base/assert.ts";

/**
 * Pseudo-random draws from one seed: xoshiro128** over 32-bit integers, seeded by a splitmix sequence. Only integer operations
 * and comparisons, no transcendental function: the same seed gives the same run on every machine and version of Node.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** Any whole number from 0 to 2^53 - 1. */
  constructor(seed: number) {
    assert(Number.isSafeInteger(seed) && seed >= 0, `a seed is a whole number below 2^53, not ${seed}`);
    const mix = splitmix(seed);
    this.#a = mix();
    this.#b = mix();
    this.#c = mix();
    this.#d = mix();
  }

  /** A whole number of 32 bits. */
  u32(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotate(this.#d, 11);
    return result;
  }

  /** From 0 to below 1, in steps of 2^-53. */
  unit(): number {
    const high = this.u32() >>> 5;
    const low = this.u32() >>> 6;
    return (high * 0x400_0000 + low) / 0x20_0000_0000_0000;
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    assert(end >= 1, `nothing to draw below ${end}`);
    return Math.floor(this.unit() * end);
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /** True with this probability. Always draws, so that a changed rate does not shift the draws that follow. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** A copy in random order. */
  shuffle<T>(list: readonly T[]): T[] {
    const copy = [...list];
    for (let i = copy.length - 1; i > 0; i -= 1) {
      const j = this.below(i + 1);
      const taken = copy[i] as T;
      copy[i] = copy[j] as T;
      copy[j] = taken;
    }
    return copy;
  }

  /**
   * Exponentially distributed with this mean, by comparisons alone (von Neumann, 1951): a run of falling draws of even length
   * is thrown away and adds one to the whole part, a run of odd length gives its first draw as the fraction.
   */
  exponential(mean: number): number {
    for (let whole = 0; ; whole += 1) {
      const first = this.unit();
      let last = first;
      let length = 1;
      for (let next = this.unit(); next < last; next = this.unit()) {
        last = next;
        length += 1;
      }
      if (length % 2 === 1) return mean * (whole + first);
    }
  }

  /** So many random bytes as hexadecimal digits. */
  hex(byteCount: number): string {
    let digits = "";
    for (let i = 0; i < byteCount; i += 1) digits += this.below(256).toString(16).padStart(2, "0");
    return digits;
  }

  /** A generator of its own: what draws from it does not disturb what draws from this one. */
  fork(): Random {
    return new Random(this.u32() * 0x20_0000 + (this.u32() >>> 11));
  }
}

const rotate = (value: number, count: number): number => (value << count) | (value >>> (32 - count));

/** Numbers that differ in many bits for seeds that differ in one. */
function splitmix(seed: number): () => number {
  let state = ((seed % 0x1_0000_0000) ^ Math.imul(Math.floor(seed / 0x1_0000_0000), 0x85eb_ca6b)) >>> 0;
  return () => {
    state = (state + 0x9e37_79b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0_aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a_2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}
