import type { RandomNumber } from "./machine.ts";

/**
 * Numbers that depend on the seed alone: splitmix64's step on two halves of 32 bits (Steele, Lea, Flood 2014), since a machine's
 * numbers must not depend on the engine that runs it. For choices among equals, never for secrets: whoever knows the position
 * knows the numbers.
 */
export function randomOf(seed: number): RandomNumber {
  let state = mix((seed % 0x1_0000_0000) ^ mix(Math.floor(seed / 0x1_0000_0000) ^ 0x5851_f42d));
  return () => {
    state = (state + 0x9e37_79b9) >>> 0;
    const high = mix(state) >>> 5;
    const low = mix(state ^ 0x2545_f491) >>> 6;
    return (high * 0x400_0000 + low) / 0x20_0000_0000_0000;
  };
}

/** A bijection of 32 bits in which every bit of the input moves half of the output's. */
function mix(value: number): number {
  let mixed = value >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb_352d);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846c_a68b);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
