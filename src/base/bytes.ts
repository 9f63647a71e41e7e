import { assertSafe } from "./assert.ts";

/** A view for the numbers of a format. All formats are little-endian. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Writes a 64-bit field from a number below 2^53. */
export function writeU64(view: DataView, offset: number, value: number): void {
  assertSafe(value, "64-bit field");
  view.setUint32(offset, value % 0x1_0000_0000, true);
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Reads a 64-bit field, or -1 where it holds 2^53 or more: decoders turn that into a verdict, never into a wrong number. */
export function readU64(view: DataView, offset: number): number {
  const high = view.getUint32(offset + 4, true);
  if (high >= 0x20_0000) return -1;
  return high * 0x1_0000_0000 + view.getUint32(offset, true);
}

const hexDigits = /^[0-9a-f]*$/;

export function toHex(bytes: Uint8Array, begin = 0, end = bytes.length): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + begin, end - begin).toString("hex");
}

/** Writes 2n hexadecimal digits as n bytes at `offset`. */
export function writeHex(target: Uint8Array, offset: number, hex: string): void {
  if (!hexDigits.test(hex)) throw new RangeError(`not hexadecimal: ${hex}`);
  Buffer.from(target.buffer, target.byteOffset, target.byteLength).write(hex, offset, "hex");
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  return Buffer.compare(a, b) === 0;
}

/** The next multiple of `unit` at or above `value`. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** The same bytes as a Buffer, for what Node does with Buffers alone. No copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
