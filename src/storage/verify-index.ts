import type { Hashing } from "../base/hashing.ts";
import { pageBytes } from "../format/index-page.ts";
import { decodeIndexHeader, type SegmentIndexHeader } from "../format/segment-index.ts";
import { readSound } from "./block-reader.ts";
import { type Disk, DiskError, type DiskFile } from "./disk.ts";
import type { OnFault } from "./fault.ts";
import { buildIndex } from "./index-builder.ts";
import { indexPath } from "./paths.ts";

export interface VerifyIndexOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly hashing: Hashing;
  readonly onFault: OnFault;
}

/**
 * Proves the index of one segment: builds it anew, in memory, and compares the two page by page. The header of a sound one, or
 * undefined where there is none: it is built when the node runs. A damaged one is built anew then, so it is no loss.
 */
export function verifyIndex(options: VerifyIndexOptions, generation: number): SegmentIndexHeader | undefined {
  const { disk, dir, hashing, onFault } = options;
  const path = indexPath(dir, generation);
  if (!disk.exists(path)) return undefined;
  const fault = (offset: number, text: string) =>
    onFault({ file: path, offset, verdict: "mended", reason: "INDEX_DAMAGED", text });
  const file = disk.open(path, "read");
  try {
    const decoded = decodeIndexHeader(readSound(file, 0, pageBytes), hashing);
    const header = decoded.kind === "ok" ? decoded.header : undefined;
    if (header === undefined || header.generation !== generation) {
      const why = decoded.kind === "malformed" ? decoded.reason : "it is another segment's";
      fault(0, `the index is built anew when the node runs: ${why}`);
      return undefined;
    }
    const rebuilt = rebuild(options, header);
    if (rebuilt === undefined) return header;
    return samePages(file, rebuilt, fault) ? header : undefined;
  } finally {
    file.close();
  }
}

/** The bytes that the index should have; undefined where the segment itself is damaged, which is told elsewhere. */
function rebuild(
  { disk, dir, hashing }: VerifyIndexOptions,
  { generation, begin, end }: SegmentIndexHeader,
): Uint8Array | undefined {
  const memory = new MemoryFile(indexPath(dir, generation));
  try {
    const overlay = overMemory(disk, memory);
    const steps = buildIndex({ disk: overlay, dir, hashing, job: { generation, begin, endSlot: end.slot } });
    while (steps.next().done !== true);
    return memory.bytes;
  } catch (error) {
    if (error instanceof DiskError) throw error;
    return undefined;
  }
}

function samePages(file: DiskFile, rebuilt: Uint8Array, fault: (offset: number, text: string) => void): boolean {
  let same = true;
  const size = file.size();
  if (size !== rebuilt.length) {
    same = false;
    fault(Math.min(size, rebuilt.length), `the index has ${size} bytes, its segment amounts to ${rebuilt.length}`);
  }
  for (let offset = 0; offset < Math.min(size, rebuilt.length); offset += pageBytes) {
    const page = readSound(file, offset, pageBytes);
    if (Buffer.compare(page, rebuilt.subarray(offset, offset + page.length)) === 0) continue;
    same = false;
    fault(offset, `page ${offset / pageBytes} of the index is not what its segment amounts to`);
  }
  return same;
}

/** A disk on which the only file that can be made is this one, in memory. */
function overMemory(disk: Disk, memory: MemoryFile): Disk {
  return {
    create: () => memory,
    open: (path) => disk.open(path, "read"),
    exists: () => false,
    makeDirectory: () => {},
    list: (path) => disk.list(path),
    rename: () => {},
    remove: () => {},
    removeDirectory: () => {},
    syncDirectory: () => {},
  };
}

class MemoryFile implements DiskFile {
  readonly path: string;
  bytes: Uint8Array = new Uint8Array(0);

  constructor(path: string) {
    this.path = path;
  }

  size(): number {
    return this.bytes.length;
  }

  read(offset: number, target: Uint8Array): number {
    const part = this.bytes.subarray(offset, offset + target.length);
    target.set(part);
    return part.length;
  }

  write(offset: number, parts: readonly Uint8Array[]): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    if (offset + length > this.bytes.length) this.resize(offset + length);
    let at = offset;
    for (const part of parts) {
      this.bytes.set(part, at);
      at += part.length;
    }
  }

  sync(): void {}

  resize(length: number): void {
    const resized = new Uint8Array(length);
    resized.set(this.bytes.subarray(0, length));
    this.bytes = resized;
  }

  close(): void {}
}
