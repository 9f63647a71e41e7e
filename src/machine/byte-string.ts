import { asBuffer } from "../base/bytes.ts";

/**
 * Bytes as a string of code units from 0 to 255. The engine keeps such a string in one byte for each, without the hundred and more
 * that an array of bytes costs beside them, and compares two in the order of their bytes: what a state with a million of them wants.
 */
export type ByteString = string & { readonly __brand: "ByteString" };

/** A copy: nothing of what the bytes are a part of stays in memory. */
export const byteStringOf = (bytes: Uint8Array): ByteString => asBuffer(bytes).toString("latin1") as ByteString;

export const bytesOf = (text: ByteString): Uint8Array => Buffer.from(text, "latin1");

export const emptyByteString = "" as ByteString;
