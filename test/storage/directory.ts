import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../src/base/limits.ts";
import type { Slot } from "../../src/base/types.ts";
import type { Entry } from "../../src/core/entry.ts";
import type { Disk } from "../../src/storage/disk.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { LogReader } from "../../src/storage/reader.ts";
import { Store } from "../../src/storage/store.ts";
import { hashing } from "./hashing.ts";

/** A directory that is removed after the test. */
export class TestDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "paxlog-"));
  readonly data = join(this.path, "data");

  file(name: string): string {
    return join(this.data, name);
  }

  /** Changes the bytes of a file behind everyone's back. */
  change(name: string, change: (bytes: Buffer) => Buffer | undefined): void {
    const bytes = readFileSync(this.file(name));
    writeFileSync(this.file(name), change(bytes) ?? bytes);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function openStore(dir: string, disk: Disk = new NodeDisk(), segmentBytes = limits.segmentBytesMin): Store {
  return Store.open({ disk, dir, hashing, randomBytes, name: "n1", segmentBytes });
}

/** Every entry that the store found when it was opened, read back and verified. */
export function readAll(dir: string, store: Store, disk: Disk = new NodeDisk()): Entry[] {
  const reader = new LogReader(disk, dir, hashing, store.layout, store.readerStart);
  try {
    return readFrom(reader, 1 as Slot);
  } finally {
    reader.close();
  }
}

export function readFrom(reader: LogReader, from: Slot): Entry[] {
  const entries: Entry[] = [];
  for (let slot = from; slot < reader.end; ) {
    const some = reader.read(slot, reader.end, limits.messageEntryBytes);
    entries.push(...some);
    slot = (slot + some.length) as Slot;
  }
  return entries;
}

/** Makes everything that was submitted durable. */
export function commitAll(store: Store): void {
  while (store.commit() !== undefined);
}

export const hashesOf = (entries: readonly Entry[]): string[] => entries.map((entry) => entry.hash);
