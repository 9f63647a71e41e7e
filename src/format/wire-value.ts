/**
 * What the codecs of protobuf messages share: values as the generated code hands them over, turned into ours or into a verdict.
 */
import { toHex, writeHex } from "../base/bytes.ts";
import type { Hash, Uid } from "../base/types.ts";

export { asBuffer } from "../base/bytes.ts";

export type Decoded<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "malformed"; readonly reason: string };

export interface Codec<T> {
  encode(value: T): Buffer;
  /** Never throws, whatever the bytes are. Byte fields of the value are views of `bytes`. */
  decode(bytes: Uint8Array): Decoded<T>;
}

/** Thrown inside a decoder only; `decoding` makes a verdict of it. */
class Malformed extends Error {}

export function malformed(reason: string): never {
  throw new Malformed(reason);
}

/** Runs a decoder. The generated code throws on bytes that are no protobuf message; so do the helpers below. */
export function decoding<T>(decode: () => T): Decoded<T> {
  try {
    return { kind: "ok", value: decode() };
  } catch (cause) {
    return { kind: "malformed", reason: reasonOf(cause) };
  }
}

/** Why a decoder threw. @throws what it threw, unless that is about the bytes. */
export function reasonOf(cause: unknown): string {
  if (cause instanceof Malformed) return cause.message;
  // Anything but what the generated code throws is a fault of ours, and must not look like one of the sender's.
  if (isProtobufError(cause)) return `no protobuf message: ${cause.message}`;
  throw cause;
}

function isProtobufError(cause: unknown): cause is Error {
  if (!(cause instanceof Error)) return false;
  if (cause instanceof RangeError || cause.constructor === Error) return true;
  return "code" in cause && cause.code === "ERR_ENCODING_INVALID_ENCODED_DATA";
}

/** A 64-bit number as protobufjs gives it: an object where its optional library `long` is installed, which it often is. */
export type WireNumber = Absent | number | { readonly low: number; readonly high: number };

/** A field that was not sent has its type's zero; the generated types say null as well. */
export type Absent = null | undefined;

/** A 64-bit field as a number below 2^53. Larger ones are malformed: they never become a wrong number. */
export function safeNumber(value: WireNumber, what: string): number {
  if (value === undefined || value === null) return 0;
  const number = typeof value === "number" ? value : (value.high >>> 0) * 0x1_0000_0000 + (value.low >>> 0);
  if (!Number.isSafeInteger(number) || number < 0) malformed(`${what} is not a whole number below 2^53`);
  return number;
}

/** A signed 64-bit field as a number from -2^53 + 1 to 2^53 - 1. */
export function safeSigned(value: WireNumber, what: string): number {
  if (value === undefined || value === null) return 0;
  const number = typeof value === "number" ? value : (value.high | 0) * 0x1_0000_0000 + (value.low >>> 0);
  if (!Number.isSafeInteger(number)) malformed(`${what} is not a whole number between -2^53 and 2^53`);
  return number;
}

/** A time or an age in milliseconds, not below zero. */
export function milliseconds(value: number | Absent, what: string): number {
  if (value === undefined || value === null) return 0;
  if (!Number.isFinite(value) || value < 0) malformed(`${what} is not a length of time`);
  return value;
}

/** A part that must be there. */
export function present<T>(value: T | Absent, what: string): T {
  if (value === undefined || value === null) malformed(`${what} is missing`);
  return value;
}

/** Text of at most so many bytes of UTF-8. */
export function boundedText(value: string | Absent, bytesMax: number, what: string): string {
  if (value === undefined || value === null) return "";
  if (Buffer.byteLength(value) > bytesMax) malformed(`${what} is longer than ${bytesMax} bytes`);
  return value;
}

const idBytes = 16;

/** Hashes and uids are 16 bytes on the wire, 32 hexadecimal digits with us. */
export function hashOf(bytes: Uint8Array | Absent, what: string): Hash {
  const length = bytes?.length ?? 0;
  if (bytes === undefined || bytes === null || length !== idBytes)
    malformed(`${what} has ${length} bytes, not ${idBytes}`);
  return toHex(bytes) as Hash;
}

export function uidOf(bytes: Uint8Array | Absent, what: string): Uid {
  return hashOf(bytes, what) as string as Uid;
}

export function idBytesOf(hex: Hash | Uid): Uint8Array {
  const bytes = Buffer.allocUnsafe(idBytes);
  if (hex.length !== 2 * idBytes) throw new RangeError(`not ${idBytes} bytes in hexadecimal: ${hex}`);
  writeHex(bytes, 0, hex);
  return bytes;
}
