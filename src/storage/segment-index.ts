import type { Hashing } from "../base/hashing.ts";
import type { TagHash } from "../base/tag-hash.ts";
import { type Position, type Slot, slotPlus } from "../base/types.ts";
import { pageBytes, pageContentBytes } from "../format/index-page.ts";
import {
  bucketOf,
  decodeTableHeader,
  hashBytes,
  type PostingTableHeader,
  tableBytes,
} from "../format/posting-table.ts";
import { decodeIndexHeader, indexEntryBytes, type SegmentIndexHeader } from "../format/segment-index.ts";
import { readSound } from "./block-reader.ts";
import type { DiskFile } from "./disk.ts";
import { IndexDamaged, type PageCache } from "./page-cache.ts";
import type { PostingList, PostingSource } from "./slot-search.ts";

/** The index of one closed segment, read page by page. Every look-up may throw IndexDamaged. */
export class SegmentIndex {
  readonly header: SegmentIndexHeader;
  readonly #file: DiskFile;
  readonly #pages: PageCache;
  /** The page of entries that was looked at last, and its number. */
  #entries: DataView | undefined;
  #entriesPage = -1;
  #tables: readonly PostingTableHeader[] | undefined;

  /** Takes the file into its hands. @throws IndexDamaged. */
  constructor(file: DiskFile, generation: number, pages: PageCache, hashing: Hashing) {
    this.#file = file;
    this.#pages = pages;
    const decoded = decodeIndexHeader(readSound(file, 0, pageBytes), hashing);
    if (decoded.kind === "malformed") throw new IndexDamaged(generation, decoded.reason);
    if (decoded.header.generation !== generation) throw new IndexDamaged(generation, "it is another segment's");
    this.header = decoded.header;
  }

  /** Where the entry of `slot`, one of the segment's, lies in the segment. */
  offsetOf(slot: Slot): number {
    return this.#entry(slot - this.header.begin.slot, 0);
  }

  /** The slot of the entry that holds the record at `position`, one of the segment's. */
  slotOfPosition(position: Position): Slot {
    const { begin, end, samplesPage } = this.header;
    const wanted = position - begin.position;
    const perPage = pageContentBytes / indexEntryBytes;
    const count = end.slot - begin.slot;
    const sample = lastAtOrBelow(Math.ceil(count / perPage), wanted, (index) => this.#number(samplesPage, index));
    const first = sample * perPage;
    const within = lastAtOrBelow(Math.min(perPage, count - first), wanted, (index) => this.#entry(first + index, 4));
    return slotPlus(begin.slot, first + within);
  }

  /** Which entries, numbered from the first of the segment, bear which hashes; each source speaks of [firstEntry, endEntry). */
  tables(): readonly PostingTableHeader[] {
    this.#tables ??= Array.from({ length: this.header.tableCount }, (_, index) => this.#table(index));
    return this.#tables;
  }

  source(table: PostingTableHeader): PostingSource {
    return { list: (hash) => this.#list(table, hash) };
  }

  close(): void {
    this.#file.close();
  }

  #list(table: PostingTableHeader, { low, high }: Readonly<TagHash>): PostingList | undefined {
    const bucket = bucketOf(high, table.bucketCount);
    const end = this.#number(table.bucketsPage, bucket + 1);
    const perPage = pageContentBytes / hashBytes;
    for (let index = this.#number(table.bucketsPage, bucket); index < end; index += 1) {
      const page = this.#page(table.hashesPage + Math.floor(index / perPage));
      const at = (index % perPage) * hashBytes;
      if (page.getUint32(at, true) !== low || page.getUint32(at + 4, true) !== high) continue;
      const count = page.getUint32(at + 8, true);
      const first = page.getUint32(at + 12, true);
      if (count === 1) return { count, at: () => first };
      return this.#postings(table.postingsPage, first, count);
    }
    return undefined;
  }

  /** Holds on to the page that was looked at last: lists are mostly walked along. */
  #postings(firstPage: number, first: number, count: number): PostingList {
    const perPage = pageContentBytes / 4;
    let number = -1;
    let page: DataView | undefined;
    return {
      count,
      at: (index) => {
        const place = first + index;
        const wanted = firstPage + Math.floor(place / perPage);
        if (page === undefined || number !== wanted) {
          page = this.#page(wanted);
          number = wanted;
        }
        return page.getUint32(4 * (place % perPage), true);
      },
    };
  }

  #table(index: number): PostingTableHeader {
    const perPage = pageContentBytes / tableBytes;
    const page = this.#page(this.header.tablesPage + Math.floor(index / perPage));
    return decodeTableHeader(new Uint8Array(page.buffer, page.byteOffset + (index % perPage) * tableBytes, tableBytes));
  }

  #entry(index: number, field: 0 | 4): number {
    const perPage = pageContentBytes / indexEntryBytes;
    const number = this.header.entriesPage + Math.floor(index / perPage);
    if (this.#entries === undefined || this.#entriesPage !== number) {
      this.#entries = this.#page(number);
      this.#entriesPage = number;
    }
    return this.#entries.getUint32((index % perPage) * indexEntryBytes + field, true);
  }

  #number(firstPage: number, index: number): number {
    const perPage = pageContentBytes / 4;
    return this.#page(firstPage + Math.floor(index / perPage)).getUint32(4 * (index % perPage), true);
  }

  #page(number: number): DataView {
    return this.#pages.page(this.#file, this.header.generation, number, this.header.nonce);
  }
}

/** The index of the last of `count` ascending values that is at most `wanted`; the first one is. */
function lastAtOrBelow(count: number, wanted: number, value: (index: number) => number): number {
  let low = 0;
  let high = count;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (value(middle) <= wanted) low = middle;
    else high = middle;
  }
  return low;
}
