import { randomBytes } from "node:crypto";
import { assert } from "#src/base/assert";
import type { Hashing } from "#src/base/hashing";
import { firstSlot, type Hash, type NodeId, type Position, type Slot } from "#src/base/types";
import type { Entry } from "#src/core/entry";
import type { AcceptMessage } from "#src/core/message";
import { appendStreamRequestCodec, readResponseCodec } from "#src/format/api-codec";
import { scanBatch } from "#src/format/batch";
import { decodeBatch } from "#src/format/batch-decode";
import { encodeBatch, type RecordInput } from "#src/format/batch-encode";
import { decodeEntries, makeEntryMaker } from "#src/format/entry";
import { decodeEnvelope, encodeEnvelope } from "#src/format/peer-message";
import { loadHashing } from "#src/native/hashing";
import type { Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";

export interface CodecFigures {
  readonly what: string;
  readonly records: number;
  readonly recordBytes: number;
  readonly hashing: string;
  readonly microseconds: number;
  readonly recordsPerSecond: number;
  readonly megabytesPerSecond: number;
}

/** One thing that is done over and over; `work` returns how many records it saw, which is held to how many there are. */
interface Work {
  readonly what: string;
  readonly records: number;
  readonly recordBytes: number;
  /** Whether the choice of the checksums' code makes a difference to it. */
  readonly hashes: boolean;
  readonly work: () => number;
}

const milliseconds: Readonly<Record<Size, number>> = { smoke: 5, default: 600, full: 3000 };

/** Encoding, scanning and decoding on one thread, without anything around it. */
export const codecBenchmark: Benchmark<readonly CodecFigures[]> = {
  name: "codec",
  probes: "none",
  run: async (context) => {
    const figures: CodecFigures[] = [];
    for (const [turn, hashing] of (await hashings()).entries()) {
      const works = [[1000, 100] as const, [128, 1024] as const, [1, 100] as const].flatMap(([records, bytes]) =>
        worksOf(records, bytes, hashing).filter(({ hashes }) => hashes || turn === 0),
      );
      for (const work of works) {
        context.note(`${hashing.implementation}: ${work.what}, ${work.records} x ${work.recordBytes} bytes`);
        figures.push(measure(work, hashing.implementation, milliseconds[context.size]));
      }
    }
    return {
      figures,
      tables: [
        {
          title: "encoding and decoding, one thread",
          columns: ["what", "records x bytes", "checksums", "us", "records/s", "MB/s of values"],
          rows: figures.map((row) => [
            row.what,
            `${row.records} x ${row.recordBytes}`,
            row.hashing,
            figure(row.microseconds),
            figure(row.recordsPerSecond),
            figure(row.megabytesPerSecond),
          ]),
        },
      ],
      remarks: ["verified: what is decoded was compared once with what was encoded; the count of records each time"],
    };
  },
};

/** Both where the addon is there; otherwise its portable twin alone. */
async function hashings(): Promise<Hashing[]> {
  const chosen = await loadHashing();
  return chosen.implementation === "portable" ? [chosen] : [chosen, await loadHashing("portable")];
}

function worksOf(records: number, recordBytes: number, hashing: Hashing): Work[] {
  const bytes = randomBytes(records * recordBytes);
  const inputs: RecordInput[] = Array.from({ length: records }, (_, index) => ({
    value: bytes.subarray(index * recordBytes, (index + 1) * recordBytes),
  }));
  const batch = encodeBatch(inputs);
  const view = decodeBatch(batch);
  for (const [index, input] of inputs.entries()) {
    assert(Buffer.compare(view.value(index), input.value as Uint8Array) === 0, "a batch decodes to what was encoded");
  }
  const named = (what: string, work: () => number, hashes = false): Work => ({
    what,
    records,
    recordBytes,
    hashes,
    work,
  });
  return [
    named("batch encode", () => countOf(encodeBatch(inputs))),
    named("batch scan", () => countOf(batch)),
    named("batch decode, every value", () => decodeAll(batch)),
    named("batch CRC32C", () => (hashing.crc32c(batch) >= 0 ? records : 0), true),
    named("batch XXH3-128", () => (hashing.xxh3(batch).length === 32 ? records : 0), true),
    ...messageWorks(named, batch, records, hashing),
    ...entryWorks(batch, records, recordBytes, hashing),
  ];
}

/** The messages of clients. */
function messageWorks(
  named: (what: string, work: () => number) => Work,
  batch: Uint8Array,
  records: number,
  hashing: Hashing,
): Work[] {
  const crc32c = hashing.crc32c(batch);
  const request = appendStreamRequestCodec.encode({ logId: 1, batch, crc32c });
  const stored = { firstPosition: 1, recordCount: records, time: 1, session: 0, batch, crc32c };
  const response = readResponseCodec.encode({ batches: [stored], tail: records + 1, caughtUp: true });
  return [
    named("append request encode", () =>
      appendStreamRequestCodec.encode({ logId: 1, batch, crc32c }).length === request.length ? records : 0,
    ),
    named("append request decode", () => {
      const decoded = appendStreamRequestCodec.decode(request);
      return decoded.kind === "ok" && decoded.value.batch.length === batch.length ? records : 0;
    }),
    named("read response encode", () =>
      readResponseCodec.encode({ batches: [stored], tail: records + 1, caughtUp: true }).length === response.length
        ? records
        : 0,
    ),
    named("read response decode", () => {
      const decoded = readResponseCodec.decode(response);
      return decoded.kind === "ok" ? (decoded.value.batches[0]?.recordCount ?? 0) : 0;
    }),
  ];
}

/** Entries, and an Accept with as many of them as a leader would put in it: 8 large ones, or 256 of one record. */
function entryWorks(batch: Uint8Array, records: number, recordBytes: number, hashing: Hashing): Work[] {
  const count = records === 1 ? 256 : 8;
  const make = entryChain(batch, records, hashing);
  const entries = make(count);
  const accept: AcceptMessage = {
    kind: "accept",
    n: ballot,
    firstSlot,
    prevHash: zeroHash,
    entries,
    decidedEnd: firstSlot,
  };
  const envelope = encodeEnvelope(1 as NodeId, 1, accept);
  const together = Buffer.concat(entries.map((entry) => entry.bytes));
  const all = { records: count * records, recordBytes, hashes: true };
  return [
    { what: "entry make", records, recordBytes, hashes: true, work: () => make(1)[0]!.recordCount },
    { what: `entries decode, ${count}`, ...all, work: () => recordsIn(decodedEntries(together, hashing)) },
    {
      what: `Accept encode, ${count} entries`,
      ...all,
      hashes: false,
      work: () => (encodeEnvelope(1 as NodeId, 1, accept).length === envelope.length ? all.records : 0),
    },
    {
      what: `Accept decode, ${count} entries`,
      ...all,
      work: () => {
        const decoded = decodeEnvelope(envelope, hashing);
        return decoded.kind === "ok" && decoded.message.kind === "accept" ? recordsIn(decoded.message.entries) : 0;
      },
    },
  ];
}

const ballot = { configId: 1, n: 1, nodeId: 1 as NodeId };
const zeroHash = "00".repeat(16) as Hash;

function entryChain(batch: Uint8Array, recordCount: number, hashing: Hashing): (count: number) => Entry[] {
  const makeEntry = makeEntryMaker(hashing);
  const payload = { batch, guards: new Uint8Array(0) };
  const batchChecksum = hashing.crc32c(batch);
  return (count) => {
    const entries: Entry[] = [];
    for (let index = 0; index < count; index += 1) {
      const header = {
        slot: (1 + index) as Slot,
        originBallot: ballot,
        floor: firstSlot,
        kind: "batch",
        firstPosition: (1 + index * recordCount) as Position,
        recordCount,
        time: 1,
        session: 0,
        serial: 0,
        batchChecksum,
        guardLength: 0,
        prevHash: entries.at(-1)?.hash ?? zeroHash,
      } as const;
      entries.push(makeEntry(header, payload));
    }
    return entries;
  };
}

function countOf(batch: Uint8Array): number {
  const scan = scanBatch(batch);
  return scan.kind === "ok" ? scan.recordCount : 0;
}

function decodeAll(batch: Uint8Array): number {
  const view = decodeBatch(batch);
  let count = 0;
  for (let index = 0; index < view.recordCount; index += 1) if (view.value(index).length > 0) count += 1;
  return count;
}

function decodedEntries(bytes: Uint8Array, hashing: Hashing): readonly Entry[] {
  const decoded = decodeEntries(bytes, hashing);
  return decoded.kind === "ok" ? decoded.entries : [];
}

const recordsIn = (entries: readonly Entry[]): number => entries.reduce((sum, entry) => sum + entry.recordCount, 0);

function measure({ what, records, recordBytes, work }: Work, hashing: string, forMs: number): CodecFigures {
  const run = (untilMs: number): number => {
    let count = 0;
    while (performance.now() < untilMs) {
      for (let inner = 0; inner < 8; inner += 1) {
        if (work() !== records) throw new Error(`${what} did not see its ${records} records`);
      }
      count += 8;
    }
    return count;
  };
  // The first third lets the compiler find out what is hot.
  run(performance.now() + forMs / 3);
  const began = performance.now();
  const count = run(began + forMs);
  const seconds = (performance.now() - began) / 1000;
  return {
    what,
    records,
    recordBytes,
    hashing,
    microseconds: (seconds / count) * 1e6,
    recordsPerSecond: (count * records) / seconds,
    megabytesPerSecond: (count * records * recordBytes) / seconds / 1e6,
  };
}
