import zlib from "node:zlib";
import { Decompress as ZstdStream } from "fzstd";
import { assertNever } from "../base/assert.ts";
import { viewOf } from "../base/bytes.ts";
import type { Codec, Compressor, Decompress } from "../base/compression.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

/** "auto": zstd where this Node has it (from 22.15 on), gzip elsewhere. Every reader reads both. */
export type Compression = "none" | "gzip" | "zstd" | "auto";

/** What newer releases of Node have and the oldest one that is supported does not. */
interface ZstdFunctions {
  zstdCompressSync?(bytes: Uint8Array, options?: { params?: Record<number, number> }): Buffer;
  zstdDecompressSync?(bytes: Uint8Array, options?: { maxOutputLength?: number }): Buffer;
}
const { zstdCompressSync, zstdDecompressSync } = zlib as unknown as ZstdFunctions;

/** Speed counts: what a higher level saves on the wire it costs many times over on the caller's thread. */
const gzipLevel = 1;

const gzip: Compressor = {
  codec: "gzip",
  compress: (bytes) => zlib.gzipSync(bytes, { level: gzipLevel }),
};

/** @throws PaxlogError INVALID_ARGUMENT for an unknown name, and for zstd where this Node does not have it. */
export function compressorOf(name: Compression): Compressor | undefined {
  switch (name) {
    case "none":
      return undefined;
    case "gzip":
      return gzip;
    case "zstd":
    case "auto":
      if (zstdCompressSync !== undefined) return { codec: "zstd", compress: (bytes) => zstdCompressSync(bytes) };
      if (name === "auto") return gzip;
      throw new PaxlogError("INVALID_ARGUMENT", 'this version of Node has no zstd: use "auto", "gzip" or Node 22.15');
    default:
      throw new PaxlogError("INVALID_ARGUMENT", 'compression must be "none", "gzip", "zstd" or "auto"');
  }
}

export const decompress: Decompress = (codec, bytes, size) => {
  const output = outputOf(codec, bytes, size);
  if (output.length !== size) throw new RangeError(`the values have ${output.length} bytes, not ${size}`);
  return output;
};

function outputOf(codec: Codec, bytes: Uint8Array, size: number): Uint8Array {
  switch (codec) {
    case "gzip":
      return zlib.gunzipSync(bytes, { maxOutputLength: size });
    case "zstd":
      if (zstdDecompressSync !== undefined) return zstdDecompressSync(bytes, { maxOutputLength: size });
      return portableZstd(bytes, size);
    default:
      return assertNever(codec);
  }
}

const zstdMagic = 0xfd2f_b528;

/** For releases of Node without zstd. Block by block, so that a frame that goes on too long is noticed at its first block too many. */
function portableZstd(bytes: Uint8Array, size: number): Uint8Array {
  checkWindow(bytes);
  const output = new Uint8Array(size);
  let length = 0;
  const stream = new ZstdStream((chunk) => {
    // A throw: the set fails where the chunk does not fit.
    output.set(chunk, length);
    length += chunk.length;
  });
  stream.push(bytes, true);
  return output.subarray(0, length);
}

/** The decoder makes room for the window before it reads a block: RFC 8878, 3.1.1.1. */
function checkWindow(bytes: Uint8Array): void {
  if (bytes.length < 6 || viewOf(bytes).getUint32(0, true) !== zstdMagic)
    throw new RangeError("no zstd frame begins here");
  const isSingleSegment = (bytes[4]! & 0x20) !== 0;
  const window = isSingleSegment ? contentSize(bytes) : 2 ** (10 + (bytes[5]! >> 3)) * (1 + (bytes[5]! & 7) / 8);
  if (window > limits.uncompressedBytesMax) throw new RangeError(`the frame asks for a window of ${window} bytes`);
}

/** Of a frame that has no window of its own: the whole content is its window. */
function contentSize(bytes: Uint8Array): number {
  const view = viewOf(bytes);
  const at = 5 + [0, 1, 2, 4][bytes[4]! & 3]!;
  switch (bytes[4]! >> 6) {
    case 0:
      return view.getUint8(at);
    case 1:
      return view.getUint16(at, true) + 256;
    case 2:
      return view.getUint32(at, true);
    default:
      return Number(view.getBigUint64(at, true));
  }
}
