/**
 * The page: what an index file consists of, read and verified one at a time, so that a look-up touches no more than it needs.
 * Little-endian.
 *
 *   offset  size  field
 *        0     4  checksum  CRC32C over bytes [4, 4096)
 *        4     4  number    of the page in its file, from 0
 *        8     8  nonce     first 8 bytes of the segment's nonce
 *       16  4080  content
 *
 * The content holds whole elements of 4, 8, 16, 24 or 40 bytes, so none lies across two pages.
 */
import { viewOf, writeHex } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Uid } from "../base/types.ts";

export const pageBytes = limits.blockBytes;
export const pageContentBytes = pageBytes - 16;
const checksumBegin = 4;
const at = { checksum: 0, number: 4, nonce: 8, content: 16 } as const;

/** The part of a page that is free for what it carries. A view. */
export function contentOf(page: Uint8Array): Uint8Array {
  return page.subarray(at.content, pageBytes);
}

/** Closes a page whose content is written. */
export function sealPage(page: Uint8Array, number: number, nonce: Uid, hashing: Hashing): void {
  const view = viewOf(page);
  view.setUint32(at.number, number, true);
  writeHex(page, at.nonce, nonce.slice(0, 16));
  view.setUint32(at.checksum, hashing.crc32c(page.subarray(checksumBegin, pageBytes)), true);
}

/** Whether these bytes are page `number`, whole, and of an index of the segment with this nonce where one is given. */
export function isSoundPage(page: Uint8Array, number: number, nonce: Uid | undefined, hashing: Hashing): boolean {
  if (page.length < pageBytes) return false;
  const view = viewOf(page);
  if (view.getUint32(at.number, true) !== number) return false;
  if (view.getUint32(at.checksum, true) !== hashing.crc32c(page.subarray(checksumBegin, pageBytes))) return false;
  if (nonce === undefined) return true;
  return (
    view.getUint32(at.nonce, false) === Number.parseInt(nonce.slice(0, 8), 16) &&
    view.getUint32(at.nonce + 4, false) === Number.parseInt(nonce.slice(8, 16), 16)
  );
}
