import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Guards, Query } from "../core/guards.ts";

/**
 * Whether guards are small enough to be judged while others wait.
 * @throws PaxlogError GUARD_TOO_LARGE that names the part and its limit.
 */
export function checkGuards(guards: Guards): void {
  const { conditions = [], streams = [] } = guards;
  checkCount("conditions", conditions.length, limits.guardConditionsMax);
  checkCount("streams", streams.length, limits.guardStreamsMax);
  let bytes = 0;
  for (const { query } of conditions) bytes += queryBytes(query);
  for (const { tag } of streams) bytes += partBytes + textBytes("a stream's tag", [tag], limits.tagBytesMax);
  check("the guards of an append", bytes, limits.guardBytesMax, "bytes of types and tags");
}

/**
 * Whether a query is small enough to be searched for.
 * @throws PaxlogError GUARD_TOO_LARGE that names the part and its limit.
 */
export function checkQuery(query: Query): void {
  check("a query", queryBytes(query), limits.guardBytesMax, "bytes of types and tags");
}

function queryBytes({ items }: Query): number {
  checkCount("items of a query", items.length, limits.queryItemsMax);
  let bytes = 0;
  for (const { types, tags } of items) {
    checkCount("types of a query item", types.length, limits.queryTypesMax);
    checkCount("tags of a query item", tags.length, limits.queryTagsMax);
    bytes += partBytes + textBytes("a type", types, limits.typeBytesMax) + textBytes("a tag", tags, limits.tagBytesMax);
  }
  return bytes;
}

/** What a part takes beside its text, about. */
const partBytes = 16;

function textBytes(what: string, texts: readonly string[], bytesMax: number): number {
  let sum = 0;
  for (const text of texts) {
    const bytes = Buffer.byteLength(text);
    check(what, bytes, bytesMax, "bytes");
    sum += bytes + partBytes;
  }
  return sum;
}

const checkCount = (what: string, count: number, limit: number): void =>
  check(`the ${what}`, count, limit, "in number");

function check(what: string, size: number, limit: number, unit: string): void {
  if (size <= limit) return;
  throw new PaxlogError("GUARD_TOO_LARGE", `${what}: ${size} ${unit}, at most ${limit} are judged`, {
    facts: { limit, size },
  });
}
