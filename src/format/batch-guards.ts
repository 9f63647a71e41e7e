import { limits } from "../base/limits.ts";
import { anyHash, hashTag, type TagHash } from "../base/tag-hash.ts";
import { batchFields } from "./batch.ts";

const wireVarint = 0;
const wireBytes = 2;
const hashBytes = 8;
const noGuards = new Uint8Array(0);

/**
 * The hashes of a batch's types and tags, in the order of its dictionaries: 8 bytes each, the low half first. Entries carry them in
 * front of the batch, so that conditions are judged without reading batches. Nothing where the batch has neither types nor tags;
 * the one hash that stands for anything where it has more than an entry may carry.
 *
 * The batch has passed `scanBatch`. Only its fields are walked, not its records: some ten of them where there is no dictionary.
 */
export function guardsOfBatch(batch: Uint8Array): Uint8Array {
  const count = walk(batch, undefined);
  if (count === 0) return noGuards;
  if (count * hashBytes > limits.entryGuardBytesMax) {
    const guards = new Uint8Array(hashBytes);
    writeHash(new DataView(guards.buffer), 0, anyHash);
    return guards;
  }
  const guards = new Uint8Array(count * hashBytes);
  const target = new DataView(guards.buffer);
  walk(batch, (field, begin, end, index) => {
    hashTag(batch, begin, end, field === batchFields.types ? "type" : "tag", hash);
    writeHash(target, index * hashBytes, hash);
  });
  return guards;
}

const dollar = 0x24;

/**
 * The first of the batch's types that begins with "$" and that `isRefused` picks. As `guardsOfBatch`, it walks the fields alone. The batch
 * has passed `scanBatch`.
 */
export function refusedTypeOf(batch: Uint8Array, isRefused: (type: string) => boolean): string | undefined {
  let refused: string | undefined;
  walk(batch, (field, begin, end) => {
    if (refused !== undefined || field !== batchFields.types || batch[begin] !== dollar) return;
    const type = Buffer.from(batch.buffer, batch.byteOffset + begin, end - begin).toString();
    if (isRefused(type)) refused = type;
  });
  return refused;
}

/** Where the walk stands: numbers of a protobuf message are read one behind the other. */
const cursor = { at: 0 };
const hash: TagHash = { low: 0, high: 0 };

/** Counts the elements of both dictionaries, and tells where each is. */
function walk(
  batch: Uint8Array,
  visit: ((field: number, begin: number, end: number, index: number) => void) | undefined,
): number {
  let count = 0;
  cursor.at = 0;
  while (cursor.at < batch.length) {
    const key = varint(batch);
    const wireType = key & 7;
    if (wireType === wireVarint) {
      varint(batch);
      continue;
    }
    if (wireType !== wireBytes) throw new RangeError(`wire type ${wireType} in a batch that was scanned`);
    const length = varint(batch);
    const begin = cursor.at;
    cursor.at += length;
    const field = key >>> 3;
    if (field !== batchFields.types && field !== batchFields.tags) continue;
    visit?.(field, begin, cursor.at, count);
    count += 1;
  }
  return count;
}

function writeHash(view: DataView, offset: number, { low, high }: Readonly<TagHash>): void {
  view.setUint32(offset, low, true);
  view.setUint32(offset + 4, high, true);
}

function varint(bytes: Uint8Array): number {
  let value = 0;
  let shift = 1;
  for (;;) {
    const byte = bytes[cursor.at];
    if (byte === undefined) throw new RangeError("a batch that was scanned ends inside of a number");
    cursor.at += 1;
    value += (byte & 0x7f) * shift;
    if (byte < 0x80) return value;
    shift *= 128;
  }
}
