/**
 * The posting table of an index: for each hash of a type or tag the entries that bear it, of at most limits.indexTablePostings
 * postings next to each other. Entries are numbered from the index's first. Each section begins on a page of its own (index-page.ts).
 *
 *   a table's own 40 bytes: ten u32
 *     firstEntry, endEntry      whose types and tags it holds
 *     bucketCount, bucketsPage  bucketCount + 1 numbers u32: where each bucket begins among the hashes
 *     hashCount, hashesPage     16 bytes each, by (high, low): low u32, high u32, count u32, and first u32, which is the entry itself
 *                               where the count is 1, else where its list begins among the postings
 *     postingCount, postingsPage  entries u32, ascending in each list
 *     reserved                  0, 0
 *
 * A hash lies in bucket floor(high * bucketCount / 2^32): hashes are spread evenly, so a look-up reads a page of buckets and one or
 * two of hashes, however many there are.
 */
import { assert } from "../base/assert.ts";
import { viewOf } from "../base/bytes.ts";

export const tableBytes = 40;
export const hashBytes = 16;
/** Postings in a bucket, about. */
const bucketPostings = 128;

export interface PostingTableHeader {
  readonly firstEntry: number;
  readonly endEntry: number;
  readonly bucketCount: number;
  readonly bucketsPage: number;
  readonly hashCount: number;
  readonly hashesPage: number;
  readonly postingCount: number;
  readonly postingsPage: number;
}

/** What a table's sections hold, as numbers of 32 bits. */
export interface PostingTable {
  readonly buckets: Uint32Array;
  /** Four numbers for each hash. */
  readonly hashes: Uint32Array;
  readonly postings: Uint32Array;
}

/** Postings in the order of the log: columns of one length. */
export interface PostingColumns {
  readonly lows: Uint32Array;
  readonly highs: Uint32Array;
  readonly entries: Uint32Array;
}

export const bucketOf = (high: number, bucketCount: number): number => Math.floor((high / 0x1_0000_0000) * bucketCount);

export function encodeTableHeader(header: PostingTableHeader, target: Uint8Array): void {
  assert(target.length >= tableBytes, "room for a table's header");
  const view = viewOf(target);
  fields.forEach((field, index) => {
    view.setUint32(4 * index, header[field], true);
  });
}

export function decodeTableHeader(bytes: Uint8Array): PostingTableHeader {
  const view = viewOf(bytes);
  const number = (index: number): number => view.getUint32(4 * index, true);
  return {
    firstEntry: number(0),
    endEntry: number(1),
    bucketCount: number(2),
    bucketsPage: number(3),
    hashCount: number(4),
    hashesPage: number(5),
    postingCount: number(6),
    postingsPage: number(7),
  };
}

const fields = [
  "firstEntry",
  "endEntry",
  "bucketCount",
  "bucketsPage",
  "hashCount",
  "hashesPage",
  "postingCount",
  "postingsPage",
] as const satisfies readonly (keyof PostingTableHeader)[];

/** Sorts postings into a table. A hash that an entry bears twice counts once. */
export function buildPostingTable(columns: PostingColumns): PostingTable {
  const { lows, highs, entries } = columns;
  const count = entries.length;
  const bucketCount = Math.max(1, Math.ceil(count / bucketPostings));
  const { order, begins } = inBuckets(highs, bucketCount);
  const buckets = new Uint32Array(bucketCount + 1);
  const hashes = new Uint32Array(4 * count);
  const postings = new Uint32Array(count);
  let hashCount = 0;
  let postingCount = 0;
  for (let bucket = 0; bucket < bucketCount; bucket += 1) {
    buckets[bucket] = hashCount;
    const indexes = order.subarray(begins[bucket]!, begins[bucket + 1]!);
    // Equal hashes stay in the order of the log: the indexes are.
    indexes.sort((a, b) => highs[a]! - highs[b]! || lows[a]! - lows[b]! || a - b);
    for (let begin = 0; begin < indexes.length; ) {
      const first = indexes[begin]!;
      const listBegin = postingCount;
      let end = begin;
      for (; end < indexes.length && isSame(columns, first, indexes[end]!); end += 1) {
        const entry = entries[indexes[end]!]!;
        if (postingCount > listBegin && postings[postingCount - 1] === entry) continue;
        postings[postingCount] = entry;
        postingCount += 1;
      }
      const length = postingCount - listBegin;
      if (length === 1) postingCount = listBegin;
      hashes.set([lows[first]!, highs[first]!, length, length === 1 ? entries[first]! : listBegin], 4 * hashCount);
      hashCount += 1;
      begin = end;
    }
  }
  buckets[bucketCount] = hashCount;
  return { buckets, hashes: hashes.slice(0, 4 * hashCount), postings: postings.slice(0, postingCount) };
}

const isSame = ({ lows, highs }: PostingColumns, a: number, b: number): boolean =>
  lows[a] === lows[b] && highs[a] === highs[b];

/** Indexes of the postings by bucket, each bucket's in the order of the log. */
function inBuckets(highs: Uint32Array, bucketCount: number): { order: Uint32Array; begins: Uint32Array } {
  const begins = new Uint32Array(bucketCount + 1);
  for (const high of highs) begins[bucketOf(high, bucketCount) + 1]! += 1;
  for (let bucket = 0; bucket < bucketCount; bucket += 1) begins[bucket + 1]! += begins[bucket]!;
  const next = begins.slice();
  const order = new Uint32Array(highs.length);
  for (let index = 0; index < highs.length; index += 1) {
    const bucket = bucketOf(highs[index]!, bucketCount);
    order[next[bucket]!] = index;
    next[bucket]! += 1;
  }
  return { order, begins };
}
