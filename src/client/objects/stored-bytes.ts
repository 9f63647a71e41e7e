import { PaxlogError } from "../../base/errors.ts";

/** Bytes as the log keeps them, and what they may stand for. */
export interface StoredBytes {
  readonly value: Uint8Array;
  /** As UTF-8. */
  text(): string;
  /** @throws PaxlogError INVALID_ARGUMENT where they are no JSON. */
  json<T = unknown>(): T;
}

/** The bytes of a value as JSON, for whatever takes bytes. Throws INVALID_ARGUMENT for what JSON cannot say. */
export function jsonBytes(value: unknown): Uint8Array {
  const text = JSON.stringify(value);
  if (text === undefined) throw new PaxlogError("INVALID_ARGUMENT", `${typeof value} has no form in JSON`);
  return Buffer.from(text);
}

/** The base of what holds bytes of the log. */
export class Stored implements StoredBytes {
  readonly value: Uint8Array;

  constructor(value: Uint8Array) {
    this.value = value;
  }

  text(): string {
    return textOf(this.value);
  }

  json<T = unknown>(): T {
    try {
      return JSON.parse(this.text()) as T;
    } catch (cause) {
      throw new PaxlogError("INVALID_ARGUMENT", "the value is no JSON", { cause });
    }
  }
}

/** A view, not a copy, is decoded. */
export const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");

/** What a caller gave, as bytes. Throws INVALID_ARGUMENT for anything else. */
export function bytesOf(value: Uint8Array | string): Uint8Array {
  if (typeof value === "string") return Buffer.from(value);
  if (value instanceof Uint8Array) return value;
  throw new PaxlogError(
    "INVALID_ARGUMENT",
    "a value is a Uint8Array or a string; jsonBytes() makes bytes of anything else",
  );
}
