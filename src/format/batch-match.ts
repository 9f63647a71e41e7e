import { assert } from "../base/assert.ts";
import { equalBytes } from "../base/bytes.ts";
import { anyHash, hashOfText, type TagHash } from "../base/tag-hash.ts";
import type { Query, QueryItem } from "../core/guards.ts";
import { type BatchColumns, type Column, readColumns } from "./batch.ts";

/** An item in the numbers of one batch: of its dictionaries, the elements that count. */
interface NumberedItem {
  /** As type_indexes has them; undefined where any type will do. */
  readonly types: ReadonlySet<number> | undefined;
  /** For each wanted tag the elements of the dictionary that are it: more than one where the dictionary repeats a string. */
  readonly tags: readonly ReadonlySet<number>[];
}

/**
 * The first or last record of a batch, by its ordinal in [begin, end), that matches the query; undefined where none does. The bytes
 * themselves are compared, so this is the truth that hashes only hint at.
 */
export function matchBatch(
  batch: Uint8Array,
  query: Query,
  range: { readonly begin: number; readonly end: number; readonly want: "first" | "last" },
): number | undefined {
  const columns = readColumns(batch);
  assert(!("kind" in columns), "a batch in the log was scanned before it was ordered");
  const items = query.items.flatMap((item) => numbered(item, columns, batch) ?? []);
  if (items.length === 0) return undefined;
  const end = Math.min(range.end, columns.valueLengths.length);
  const tagged = columns.tagCounts.length > 0;
  let last: number | undefined;
  let tagAt = 0;
  for (let ordinal = 0; ordinal < end; ordinal += 1) {
    const tagEnd = tagAt + (tagged ? columns.tagCounts.values[ordinal]! : 0);
    if (ordinal >= range.begin && items.some((item) => matches(item, columns, ordinal, tagAt, tagEnd))) {
      if (range.want === "first") return ordinal;
      last = ordinal;
    }
    tagAt = tagEnd;
  }
  return last;
}

/** undefined where the batch lacks something that every match needs. */
function numbered(item: QueryItem, columns: BatchColumns, batch: Uint8Array): NumberedItem | undefined {
  const types = new Set<number>();
  for (const type of item.types) {
    // In type_indexes 0 stands for no type.
    for (const element of elements(type, columns.typeBegins, columns.typeEnds, batch)) types.add(element + 1);
  }
  if (item.types.length > 0 && types.size === 0) return undefined;
  const tags = item.tags.map((tag) => new Set(elements(tag, columns.tagBegins, columns.tagEnds, batch)));
  if (tags.some((numbers) => numbers.size === 0)) return undefined;
  return { types: item.types.length > 0 ? types : undefined, tags };
}

function* elements(text: string, begins: Column, ends: Column, batch: Uint8Array): Generator<number> {
  const wanted = encoder.encode(text);
  for (let element = 0; element < begins.length; element += 1) {
    const [begin, end] = [begins.values[element]!, ends.values[element]!];
    if (end - begin === wanted.length && equalBytes(batch.subarray(begin, end), wanted)) yield element;
  }
}

function matches(item: NumberedItem, columns: BatchColumns, ordinal: number, tagAt: number, tagEnd: number): boolean {
  const { typeIndexes, tagIndexes } = columns;
  const type = typeIndexes.length > 0 ? typeIndexes.values[ordinal]! : 0;
  if (item.types !== undefined && !item.types.has(type)) return false;
  return item.tags.every((numbers) => {
    for (let at = tagAt; at < tagEnd; at += 1) if (numbers.has(tagIndexes.values[at]!)) return true;
    return false;
  });
}

/** Whether an entry with these hashes may hold a record that matches: where not, its batch need not be read. */
export class QueryHashes {
  /** Of each item: the hashes of which one, and those of which all must be there. */
  readonly items: readonly { readonly types: readonly TagHash[]; readonly tags: readonly TagHash[] }[];
  /** Every match bears all hashes of one of these sets; there is none where a record without any hash may match. */
  readonly sets: readonly (readonly Readonly<TagHash>[])[];
  /** Of each set one: every match bears one of them. */
  readonly keys: readonly Readonly<TagHash>[];
  /** The hash that is the whole question, where the query asks for one tag or one type and nothing else. */
  readonly only: Readonly<TagHash> | undefined;

  constructor(query: Query) {
    this.items = query.items.map(({ types, tags }) => ({
      types: types.map((type) => hashOfText(type, "type")),
      tags: tags.map((tag) => hashOfText(tag, "tag")),
    }));
    this.sets = setsOf(this.items);
    this.keys = this.sets.map((set) => set[0]!);
    const [first, ...others] = this.items;
    const hashes = first === undefined || others.length > 0 ? [] : [...first.types, ...first.tags];
    this.only = hashes.length === 1 ? hashes[0] : undefined;
  }

  /** The same for the same query: one that follows asks with each step. The query must not change. */
  static of(query: Query): QueryHashes {
    let hashes = known.get(query);
    if (hashes === undefined) {
      hashes = new QueryHashes(query);
      known.set(query, hashes);
    }
    return hashes;
  }

  mayMatch(guards: Uint8Array): boolean {
    const view = new DataView(guards.buffer, guards.byteOffset, guards.byteLength);
    if (this.only !== undefined) return bears(view, this.only) || bears(view, anyHash);
    if (bears(view, anyHash)) return true;
    const isBorne = (wanted: Readonly<TagHash>): boolean => bears(view, wanted);
    return this.items.some(({ types, tags }) => tags.every(isBorne) && (types.length === 0 || types.some(isBorne)));
  }
}

const known = new WeakMap<Query, QueryHashes>();

/** Of each item all of its tags, or one of its types. */
function setsOf(items: QueryHashes["items"]): QueryHashes["sets"] {
  if (items.some(({ types, tags }) => types.length === 0 && tags.length === 0)) return [];
  return items.flatMap(({ types, tags }) => (tags.length > 0 ? [tags] : types.map((type) => [type])));
}

function bears(guards: DataView, { low, high }: Readonly<TagHash>): boolean {
  const { byteLength } = guards;
  for (let at = 0; at < byteLength; at += 8) {
    if (guards.getUint32(at, true) === low && guards.getUint32(at + 4, true) === high) return true;
  }
  return false;
}

const encoder = new TextEncoder();
