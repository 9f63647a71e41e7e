/** What the codecs of the built-in machines' messages (proto/paxlog/v1/builtins.proto) share. */
import { limits } from "../base/limits.ts";
import type { Codec } from "../machine/machine.ts";
import { isWellFormed } from "./utf8.ts";
import { FieldReader, FieldWriter } from "./wire-bytes.ts";
import { type Absent, asBuffer, malformed, reasonOf } from "./wire-value.ts";

/** A codec as machines have it: it throws TypeError for a value that must not be written, and for bytes that are none. */
export function machineCodec<Value>(
  encode: (value: Value) => { finish(): Uint8Array },
  decode: (bytes: Uint8Array) => Value,
): Codec<Value> {
  return {
    encode: (value) => {
      try {
        return asBuffer(encode(value).finish());
      } catch (cause) {
        throw new TypeError(reasonOf(cause), { cause });
      }
    },
    decode: (bytes) => {
      try {
        return decode(bytes);
      } catch (cause) {
        throw new TypeError(reasonOf(cause), { cause });
      }
    },
  };
}

/**
 * For commands and replies that come by the ten thousand a second: they are written by hand, to the same bytes as by the generated code.
 * What it gave before must not be used any more.
 */
export function writtenFields(): FieldWriter {
  writer.clear();
  return writer;
}

/** They are read by hand where they are as they are written here; whatever is otherwise is for the generated code. */
export const readFields = (bytes: Uint8Array): FieldReader => reader.over(bytes);

const writer = new FieldWriter();
const reader = new FieldReader();

/** A name of a built-in machine's object. */
export function objectName(name: string | Absent, what = "the name"): string {
  if (name === undefined || name === null || name === "") malformed(`${what} is missing`);
  if (!isWellFormed(name)) malformed(`${what} is no text: it has a lone surrogate`);
  // A code unit takes at most three bytes.
  if (3 * name.length > limits.objectNameBytesMax && Buffer.byteLength(name) > limits.objectNameBytesMax) {
    malformed(`${what} is longer than ${limits.objectNameBytesMax} bytes`);
  }
  return name;
}

export function objectValue(value: Uint8Array | Absent, what = "the value"): Uint8Array {
  if (value === undefined || value === null) return empty;
  if (value.length > limits.objectValueBytesMax) {
    malformed(`${what} has ${value.length} bytes, more than ${limits.objectValueBytesMax}`);
  }
  return value;
}

const empty = new Uint8Array(0);

/** A number of a 64-bit field without a sign, as it is written. */
export function wholeNumber(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) malformed(`${what} is not a whole number below 2^53`);
  return value;
}

/** The name of an enum's number, or malformed. */
export function enumOf<Name extends string>(
  value: number | Absent,
  names: Readonly<Partial<Record<number, Name>>>,
  what: string,
): Name {
  return names[value ?? 0] ?? malformed(`${what} is ${value}, which is not known`);
}
