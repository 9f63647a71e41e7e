/**
 * 64-bit hashes of types and tags, as two halves of 32 bits. Entries carry them (docs/formats.md), so the function is part of the
 * format: never change it. It finds candidates, which are then compared byte by byte, so a collision costs time and nothing else.
 */
export interface TagHash {
  low: number;
  high: number;
}

/** What is hashed: a type and a tag of the same name are different things. Stored: never renumber. */
export const tagKinds = { type: 1, tag: 2 } as const;
export type TagKind = keyof typeof tagKinds;

/** The hash that stands for "anything": an entry with more types and tags than it may carry hashes of bears it alone. */
export const anyHash: Readonly<TagHash> = { low: 0xffff_ffff, high: 0xffff_ffff };

/**
 * Two lanes over the bytes, four at a time, each multiplied and rotated in its own way and both mixed at the end with the length
 * and with each other. Writes the result into `into`, so that hashing a dictionary allocates nothing.
 */
export function hashTag(bytes: Uint8Array, begin: number, end: number, kind: TagKind, into: TagHash): void {
  let a = Math.imul(tagKinds[kind], 0x9e37_79b1);
  let b = Math.imul(tagKinds[kind], 0x85eb_ca77);
  let at = begin;
  for (; at + 4 <= end; at += 4) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    a = rotate(a ^ Math.imul(word, 0xcc9e_2d51), 13);
    a = (Math.imul(a, 5) + 0x5646_54c3) | 0;
    b = rotate(b ^ Math.imul(word, 0x1b87_3593), 17);
    b = (Math.imul(b, 9) + 0x38b3_4ae5) | 0;
  }
  let rest = 0;
  for (let shift = 0; at < end; at += 1, shift += 8) rest |= bytes[at]! << shift;
  a ^= Math.imul(rest, 0xcc9e_2d51);
  b ^= Math.imul(rest, 0x1b87_3593);
  const length = end - begin;
  a = mix(a ^ length);
  b = mix(b ^ rotate(length, 16) ^ a);
  a = mix(a ^ rotate(b, 7));
  into.low = a >>> 0;
  into.high = b >>> 0;
  // The one value with a meaning of its own is nobody's hash.
  if (into.low === anyHash.low && into.high === anyHash.high) into.low = 0;
}

/** The hash of a type or a tag that somebody asks for. */
export function hashOfText(text: string, kind: TagKind): TagHash {
  const bytes = encoder.encode(text);
  const hash = { low: 0, high: 0 };
  hashTag(bytes, 0, bytes.length, kind, hash);
  return hash;
}

const encoder = new TextEncoder();

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

/** Every bit of the argument changes about half of the result's. */
function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return mixed ^ (mixed >>> 16);
}
