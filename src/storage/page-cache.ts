import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import type { Uid } from "../base/types.ts";
import { contentOf, isSoundPage, pageBytes } from "../format/index-page.ts";
import { readSound } from "./block-reader.ts";
import type { DiskFile } from "./disk.ts";

/** Pages of one file in the key of a page: more than any index has. */
const pagesPerFile = 2 ** 24;

/** An index, or a part of one, is not what was written: whoever looks something up does without it, and it is built again. */
export class IndexDamaged extends Error {
  override readonly name = "IndexDamaged";
  readonly generation: number;

  constructor(generation: number, reason: string) {
    super(`the index of segment ${generation} is of no use: ${reason}`);
    this.generation = generation;
  }
}

/** Verified pages of indexes, the least recently used ones forgotten first. */
export class PageCache {
  readonly #hashing: Hashing;
  readonly #pagesMax: number;
  readonly #pages = new Map<number, DataView>();
  /** Pages that were read from disk so far. */
  reads = 0;

  constructor(hashing: Hashing, bytesMax: number = limits.indexCacheBytes) {
    this.#hashing = hashing;
    this.#pagesMax = Math.max(1, Math.floor(bytesMax / pageBytes));
  }

  /** The content of a page of this generation's index. @throws IndexDamaged. */
  page(file: DiskFile, generation: number, number: number, nonce: Uid): DataView {
    const key = generation * pagesPerFile + number;
    let content = this.#pages.get(key);
    if (content === undefined) {
      const page = readSound(file, number * pageBytes, pageBytes);
      this.reads += 1;
      if (!isSoundPage(page, number, nonce, this.#hashing)) {
        throw new IndexDamaged(generation, `page ${number} of ${file.path} is damaged`);
      }
      const bytes = contentOf(page);
      content = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const oldest = this.#pages.keys().next();
      if (this.#pages.size >= this.#pagesMax && !oldest.done) this.#pages.delete(oldest.value);
    } else {
      this.#pages.delete(key);
    }
    // Set anew, it is the most recently used.
    this.#pages.set(key, content);
    return content;
  }

  /** Forgets the pages of an index that is no longer used: another one may come to stand in its place. */
  drop(generation: number): void {
    for (const key of this.#pages.keys()) if (Math.floor(key / pagesPerFile) === generation) this.#pages.delete(key);
  }
}
