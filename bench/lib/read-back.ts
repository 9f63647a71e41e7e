import type { AppendTarget } from "#src/cli/bench/append-load";
import type { AppendedMany, Log } from "#src/client/log";
import type { RecordInput } from "#src/format/batch-encode";

/** An append that was acknowledged: what was sent, and where it is said to be. */
interface Sample {
  readonly records: readonly RecordInput[];
  readonly first: number;
  readonly last: number;
}

const samplesMax = 128;

/**
 * Passes appends on and remembers some of those that were acknowledged, evenly over the whole run however long it is: where the
 * list is full, every second one goes, and from then on every second one is taken.
 */
export class SamplingTarget implements AppendTarget {
  readonly #target: AppendTarget;
  #samples: Sample[] = [];
  #stride = 1;
  #acknowledged = 0;

  constructor(target: AppendTarget) {
    this.#target = target;
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  append(records: readonly RecordInput[]): Promise<AppendedMany> {
    const answer = this.#target.append(records);
    answer.then(
      ({ first, last }) => this.#note(records, first, last),
      // Whoever called hears of it.
      () => {},
    );
    return answer;
  }

  #note(records: readonly RecordInput[], first: number, last: number): void {
    const turn = this.#acknowledged % this.#stride;
    this.#acknowledged += 1;
    if (turn !== 0) return;
    this.#samples.push({ records, first, last });
    if (this.#samples.length <= samplesMax) return;
    this.#samples = this.#samples.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }
}

export interface Verified {
  /** Records in the whole run that were acknowledged, and those of which nobody knows because their leader was lost. */
  readonly acknowledged: number;
  readonly unknown: number;
  /** By how many records the log grew: as many as were acknowledged, and at most the unknown ones beside them. */
  readonly tailMoved: number;
  /** Records that were read back and compared, byte for byte and position for position. */
  readonly sampledRecords: number;
}

/**
 * Holds a run to its answers: the log grew by exactly what was acknowledged (and what is unknown, if a leader was lost),
 * positions of the samples do not overlap, and the samples stand where they were said to be, with the bytes that were sent.
 * Throws otherwise.
 */
export async function verifyRun(
  log: Log,
  samples: readonly Sample[],
  counts: Counts,
  tail: TailMove,
): Promise<Verified> {
  const tailMoved = verifyPositions(samples, counts, tail);
  let sampledRecords = 0;
  for (const sample of samples) sampledRecords += await compare(log, sample);
  if (counts.acknowledged > 0 && sampledRecords === 0)
    throw new Error("nothing was sampled of a run that acknowledged records");
  return { ...counts, tailMoved, sampledRecords };
}

export interface Counts {
  readonly acknowledged: number;
  readonly unknown: number;
}

/** The tail before the first and after the last append of a run. */
export interface TailMove {
  readonly before: number;
  readonly after: number;
}

/** The part of `verifyRun` that needs no reading, for what keeps no records. Returns by how much the tail moved. */
export function verifyPositions(samples: readonly Sample[], counts: Counts, tail: TailMove): number {
  const tailMoved = tail.after - tail.before;
  const { acknowledged, unknown } = counts;
  if (tailMoved < acknowledged || tailMoved > acknowledged + unknown) {
    throw new Error(
      `${acknowledged} records were acknowledged and ${unknown} are unknown, but the tail moved by ${tailMoved}`,
    );
  }
  let end = tail.before;
  for (const { first, last } of samples.toSorted((a, b) => a.first - b.first)) {
    if (first < end || last >= tail.after) {
      throw new Error(`records were acknowledged at ${first} to ${last}, where others are`);
    }
    end = last + 1;
  }
  return tailMoved;
}

async function compare(log: Log, { records, first, last }: Sample): Promise<number> {
  if (last - first + 1 !== records.length) {
    throw new Error(`${records.length} records were acknowledged at ${first} to ${last}`);
  }
  let count = 0;
  for await (const record of log.read({ from: first, limit: records.length })) {
    const sent = records[count]!;
    if (record.position !== first + count)
      throw new Error(`position ${record.position} came where ${first + count} was due`);
    if (Buffer.compare(record.value, sent.value as Uint8Array) !== 0) {
      throw new Error(`the record at ${record.position} is not the one that was acknowledged there`);
    }
    count += 1;
  }
  if (count !== records.length) throw new Error(`of ${records.length} records at ${first} came ${count}`);
  return count;
}
