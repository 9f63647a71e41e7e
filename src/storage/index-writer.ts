import { concat } from "../base/bytes.ts";
import type { Hashing } from "../base/hashing.ts";
import { limits } from "../base/limits.ts";
import { contentOf, pageBytes, pageContentBytes, sealPage } from "../format/index-page.ts";
import {
  buildPostingTable,
  encodeTableHeader,
  type PostingColumns,
  type PostingTableHeader,
  tableBytes,
} from "../format/posting-table.ts";
import { encodeIndexHeader, type SegmentIndexHeader } from "../format/segment-index.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { indexPath, logDirectory, unfinished } from "./paths.ts";

/** What the header says of the segment; where the sections begin is the writer's own. */
export type IndexFacts = Omit<
  SegmentIndexHeader,
  "pageCount" | "entriesPage" | "samplesPage" | "tablesPage" | "tableCount"
>;

/** Writes the index of one segment, section by section; it exists under its name once it is whole and durable. */
export class IndexWriter {
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #hashing: Hashing;
  readonly #facts: IndexFacts;
  readonly #path: string;
  readonly #file: DiskFile;
  /** Sealed and not written yet. */
  #waiting: Uint8Array[] = [];
  #writtenPages = 1;
  /** Page 0 is the header's. */
  #nextPage = 1;

  constructor(disk: Disk, dir: string, hashing: Hashing, facts: IndexFacts) {
    this.#disk = disk;
    this.#dir = dir;
    this.#hashing = hashing;
    this.#facts = facts;
    this.#path = indexPath(dir, facts.generation);
    const path = this.#path + unfinished;
    if (disk.exists(path)) disk.remove(path);
    this.#file = disk.create(path);
  }

  /** Offset and position of each entry, two numbers each; returns the section's first page. */
  section(numbers: Uint32Array): number {
    const first = this.#nextPage;
    const perPage = pageContentBytes / 4;
    for (let begin = 0; begin < numbers.length; begin += perPage) {
      this.#page((content) => {
        const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
        const end = Math.min(begin + perPage, numbers.length);
        for (let index = begin; index < end; index += 1) view.setUint32(4 * (index - begin), numbers[index]!, true);
      });
    }
    return first;
  }

  /** The table of the entries [firstEntry, endEntry), built and written. */
  table(firstEntry: number, endEntry: number, columns: PostingColumns): PostingTableHeader {
    const { buckets, hashes, postings } = buildPostingTable(columns);
    const bucketsPage = this.section(buckets);
    const hashesPage = this.section(hashes);
    const postingsPage = this.section(postings);
    return {
      firstEntry,
      endEntry,
      bucketCount: buckets.length - 1,
      bucketsPage,
      hashCount: hashes.length / 4,
      hashesPage,
      postingCount: postings.length,
      postingsPage,
    };
  }

  tables(headers: readonly PostingTableHeader[]): number {
    const first = this.#nextPage;
    const perPage = pageContentBytes / tableBytes;
    for (let begin = 0; begin < headers.length; begin += perPage) {
      this.#page((content) => {
        headers.slice(begin, begin + perPage).forEach((header, index) => {
          encodeTableHeader(header, content.subarray(index * tableBytes));
        });
      });
    }
    return first;
  }

  /** Writes the header and makes the file durable under its name. */
  finish(sections: Pick<SegmentIndexHeader, "entriesPage" | "samplesPage" | "tablesPage" | "tableCount">): void {
    this.#flush();
    const header = { ...this.#facts, ...sections, pageCount: this.#nextPage };
    this.#file.write(0, [encodeIndexHeader(header, this.#hashing)]);
    this.#file.sync();
    this.#file.close();
    this.#disk.rename(this.#path + unfinished, this.#path);
    this.#disk.syncDirectory(logDirectory(this.#dir));
  }

  /** Leaves nothing behind. */
  abandon(): void {
    try {
      this.#file.close();
      this.#disk.remove(this.#path + unfinished);
    } catch {
      // It is removed at the next opening; what went wrong before this is what counts.
    }
  }

  #page(fill: (content: Uint8Array) => void): void {
    const page = new Uint8Array(pageBytes);
    fill(contentOf(page));
    sealPage(page, this.#nextPage, this.#facts.nonce, this.#hashing);
    this.#waiting.push(page);
    this.#nextPage += 1;
    if (this.#waiting.length * pageBytes >= limits.readAheadBytes) this.#flush();
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    this.#file.write(this.#writtenPages * pageBytes, [concat(this.#waiting)]);
    this.#writtenPages += this.#waiting.length;
    this.#waiting = [];
  }
}
