import { assert } from "#src/base/assert";
import type { Hashing } from "#src/base/hashing";
import { firstPosition, firstSlot, type Hash, type Position, type Slot } from "#src/base/types";
import type { AppendProposal } from "#src/core/event";
import type { Guards } from "#src/core/guards";
import { Log } from "#src/core/log";
import type { Verdict } from "#src/core/sequencer";
import { encodeBatch } from "#src/format/batch-encode";
import { guardsOfBatch } from "#src/format/batch-guards";
import { makeEntryMaker } from "#src/format/entry";
import { makeEntryParts } from "#src/format/entry-parts";
import { loadHashing } from "#src/native/hashing";
import { LogSequencer } from "#src/sequencer/sequencer";
import type { Benchmark, Size } from "./lib/report.ts";
import { figure } from "./lib/table.ts";

interface Percentiles {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface GuardFigures {
  readonly what: string;
  readonly count: number;
  /** Of the sequencer's time for one append, in microseconds. */
  readonly us: Percentiles;
}

export interface GuardsReport {
  readonly records: number;
  readonly distinctTags: number;
  readonly windowRecords: number;
  readonly windowBytes: number;
  readonly rows: readonly GuardFigures[];
}

interface Plan {
  readonly records: number;
  readonly tags: number;
  /** Appends of each kind that are timed. */
  readonly samples: number;
}

const plans: Readonly<Record<Size, Plan>> = {
  smoke: { records: 20_000, tags: 5_000, samples: 200 },
  default: { records: 2_000_000, tags: 1_000_000, samples: 20_000 },
  full: { records: 10_000_000, tags: 1_000_000, samples: 100_000 },
};

const recordsPerBatch = 10;
const ballot = { configId: 1, n: 1, nodeId: 1 as never };

/** The sequencer alone, on one thread: what a verdict costs, in a log with many tags. */
export const guardsBenchmark: Benchmark<GuardsReport> = {
  name: "guards",
  probes: "none",
  run: async (context) => {
    const plan = plans[context.size];
    const bench = new SequencerBench(await loadHashing(), plan.tags);
    context.note(`a log of ${figure(plan.records)} records with ${figure(plan.tags)} distinct tags`);
    const filled = bench.fill(plan.records);
    context.note(`${figure(plan.samples)} appends of each kind`);
    const rows = [...filled, ...bench.measure(plan.samples)];
    const { windowRecords, windowBytes } = bench;
    return {
      figures: { records: plan.records, distinctTags: plan.tags, windowRecords, windowBytes, rows },
      tables: [
        {
          title: "the sequencer's time for one append, one thread",
          columns: ["append", "count", "mean us", "p50 us", "p99 us", "max us"],
          rows: rows.map(({ what, count, us }) => [
            what,
            figure(count),
            ...[us.mean, us.p50, us.p99, us.max].map(figure),
          ]),
        },
      ],
      remarks: [
        `${figure(plan.records)} records in batches of ${recordsPerBatch}, each record with one of ${figure(plan.tags)} tags; the window ` +
          `covers the last ${figure(windowRecords)} records and takes ${figure(windowBytes / 2 ** 20)} MiB`,
        "verified: every verdict is the one that a plain map of each tag's last position asks for",
      ],
    };
  },
};

/** A leader's sequencer with the log's end in memory as a node has it, and the truth beside it. */
class SequencerBench {
  readonly #parts;
  readonly #makeEntry;
  readonly #sequencer: LogSequencer;
  readonly #log: Log;
  readonly #hashing: Hashing;
  /** Position of the last record of each tag; 0: none. */
  readonly #last: Float64Array;
  #slot = firstSlot as number;
  #position = firstPosition as number;
  #seed = 1;

  constructor(hashing: Hashing, tags: number) {
    this.#hashing = hashing;
    this.#parts = makeEntryParts(hashing);
    this.#makeEntry = makeEntryMaker(hashing);
    this.#sequencer = new LogSequencer(this.#parts, undefined);
    this.#log = new Log({ slot: firstSlot, hash: zeroHash, position: firstPosition, time: 0 }, []);
    this.#last = new Float64Array(tags);
    this.#sequencer.begin({ position: firstPosition, suffix: [], wallOffsetMs: 0 });
  }

  get windowRecords(): number {
    return this.#position - this.#sequencer.window.coveredFrom;
  }

  get windowBytes(): number {
    return this.#sequencer.window.bytes;
  }

  fill(records: number): GuardFigures[] {
    const batches = records / recordsPerBatch;
    const times = new Float64Array(batches);
    for (let index = 0; index < batches; index += 1) {
      const tags = Array.from({ length: recordsPerBatch }, () => this.#below(this.#last.length));
      times[index] = this.#append(tags, undefined).microseconds;
    }
    const plain = new Float64Array(Math.min(batches, 100_000));
    for (let index = 0; index < plain.length; index += 1) plain[index] = this.#append([], undefined).microseconds;
    return [
      row(`no guard, ${recordsPerBatch} records with a tag each`, times),
      row("no guard, a record without a tag", plain),
    ];
  }

  measure(samples: number): GuardFigures[] {
    const condition = (tag: number, after: number): Guards => ({
      conditions: [{ query: { items: [{ types: [], tags: [nameOf(tag)] }] }, after: after as Position }],
    });
    const stream = (tag: number): Guards => ({
      streams: [{ tag: nameOf(tag), expected: this.#last[tag]! as Position }],
    });
    const begin = () => this.#sequencer.window.coveredFrom;
    const inWindow = () => begin() + this.#below(this.#position - begin());
    const recent = () =>
      this.#tagWith(
        (last) => last >= begin() && this.#log.slotOfPosition(last as Position, this.#log.acceptedEnd) !== undefined,
      );
    const one = (what: string, next: () => { tag: number; guards: Guards; kind: Verdict["kind"] }) => {
      const times = new Float64Array(samples);
      for (let index = 0; index < samples; index += 1) {
        const { tag, guards, kind } = next();
        const done = this.#append([tag], guards);
        assert(done.kind === kind, `${what}: the verdict is ${done.kind} and should be ${kind}`);
        times[index] = done.microseconds;
      }
      return row(what, times);
    };
    return [
      one("expected tail", () => {
        return {
          tag: this.#below(this.#last.length),
          guards: { expectedTail: this.#position as Position },
          kind: "ordered",
        };
      }),
      one("condition on a tag, after in the window, holds", () => {
        const after = inWindow();
        // Not in the middle of the tag's own entry, which the sequencer would have to look into, and may have to search for.
        const tag = this.#tagWith((last) => last + recordsPerBatch <= after);
        return { tag, guards: condition(tag, after), kind: "ordered" };
      }),
      one("condition on a tag, after in the window, refused", () => {
        const tag = recent();
        return { tag, guards: condition(tag, Math.max(begin(), this.#last[tag]! - 1)), kind: "refused" };
      }),
      one("stream at its expected revision", () => {
        const tag = recent();
        return { tag, guards: stream(tag), kind: "ordered" };
      }),
    ];
  }

  #tagWith(holds: (last: number) => boolean): number {
    for (;;) {
      const tag = this.#below(this.#last.length);
      if (holds(this.#last[tag]!)) return tag;
    }
  }

  /** Orders a batch of one record for each tag, and puts the entry in the log where it is ordered. */
  #append(tags: readonly number[], guards: Guards | undefined): { microseconds: number; kind: Verdict["kind"] } {
    const records = tags.length === 0 ? [{ value }] : tags.map((tag) => ({ value, tags: [nameOf(tag)] }));
    const batch = encodeBatch(records);
    const payload = { batch, guards: guardsOfBatch(batch) };
    const recordCount = records.length;
    const batchChecksum = this.#hashing.crc32c(batch);
    const proposal: AppendProposal = { kind: "append", requestId: 1, payload, batchChecksum, recordCount, guards };
    const slot = this.#slot as Slot;
    const began = performance.now();
    const verdict = this.#sequencer.order(proposal, { slot, monotonicMs: 1, log: this.#log }, []);
    const microseconds = (performance.now() - began) * 1000;
    if (verdict.kind !== "ordered") return { microseconds, kind: verdict.kind };
    assert(verdict.firstPosition === this.#position, "positions are dense");
    const { firstPosition: first, time } = verdict;
    const of = {
      kind: "batch",
      firstPosition: first,
      recordCount,
      time,
      session: 0,
      serial: 0,
      batchChecksum,
    } as const;
    const prevHash = this.#log.hashBefore(slot)!;
    const header = {
      slot,
      originBallot: ballot,
      floor: firstSlot,
      guardLength: payload.guards.length,
      prevHash,
      ...of,
    };
    this.#log.append([this.#makeEntry(header, payload)]);
    for (const [index, tag] of tags.entries()) this.#last[tag] = this.#position + index;
    this.#slot += 1;
    this.#position += recordCount;
    const end = this.#slot as Slot;
    this.#sequencer.decided(end, this.#log);
    this.#log.dropBelow(end);
    return { microseconds, kind: verdict.kind };
  }

  /** A small generator of its own: every run asks for the same. */
  #below(bound: number): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#seed / 2 ** 32) * bound);
  }
}

const value = new Uint8Array(100);
const zeroHash = "00".repeat(16) as Hash;
const nameOf = (tag: number): string => `customer:${tag}`;

function row(what: string, times: Float64Array): GuardFigures {
  const sorted = times.toSorted();
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!;
  const mean = sorted.reduce((sum, time) => sum + time, 0) / sorted.length;
  return { what, count: sorted.length, us: { mean, p50: at(0.5), p99: at(0.99), max: at(1) } };
}
