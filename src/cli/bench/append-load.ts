import { build, type Histogram } from "hdr-histogram-js";
import { type PaxlogError, toPaxlogError } from "../../base/errors.ts";
import type { AppendedMany } from "../../client/log.ts";
import type { RecordInput } from "../../format/batch-encode.ts";
import type { BatchPlan } from "./records.ts";

/** What takes the load: a Log, or whatever else appends. */
export interface AppendTarget {
  append(records: readonly RecordInput[]): Promise<AppendedMany>;
}

export interface AppendLoadOptions {
  readonly log: AppendTarget;
  readonly plan: BatchPlan;
  readonly batches: readonly (readonly RecordInput[])[];
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Records a second that are intended; undefined: as many as are answered. */
  readonly rate: number | undefined;
  readonly onProgress: (line: ProgressLine) => void;
  /** When the measured part begins and ends. */
  readonly onMeasure: (part: "begin" | "end") => Promise<void>;
}

export interface ProgressLine {
  readonly seconds: number;
  readonly recordsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface AppendLoadResult {
  /** Acknowledged while it was measured. */
  readonly records: number;
  readonly seconds: number;
  /** In microseconds. With a rate: from the intended time of sending, so that waiting for a stalled log counts. */
  readonly latency: Histogram;
  /** Over the whole run, warm-up and end included. */
  readonly acknowledgedRecords: number;
  /** Batches that failed, the first of their errors, and how many records have an unknown outcome: they may be in the log. */
  readonly failedBatches: number;
  readonly failures: readonly PaxlogError[];
  readonly unknownRecords: number;
}

const failuresKept = 100;
const latencyMicrosecondsMax = 600_000_000;

/**
 * Pipelined appends of one client. Without a rate, a new batch is sent as soon as there is room in flight. With a rate, batches
 * are due at fixed times whatever the log does: a batch that has to wait for room is late, and its latency says so.
 */
export class AppendLoad {
  readonly #options: AppendLoadOptions;
  readonly #latency = newHistogram();
  #interval = newHistogram();
  #inFlight = 0;
  #nextBatch = 0;
  #measuring = false;
  #ending = false;
  #measuredRecords = 0;
  #acknowledgedRecords = 0;
  #failedBatches = 0;
  /** Since the last acknowledgement. */
  #failedInRow = 0;
  readonly #failures: PaxlogError[] = [];
  #unknownRecords = 0;
  #onIdle: () => void = () => {};
  /** With a rate: when the next batch is due. */
  #dueMs = 0;
  #dueTimer: NodeJS.Timeout | undefined;

  constructor(options: AppendLoadOptions) {
    this.#options = options;
  }

  async run(): Promise<AppendLoadResult> {
    const { warmupMs, durationMs, onMeasure } = this.#options;
    this.#dueMs = performance.now();
    this.#pump();
    await pause(warmupMs);
    await onMeasure("begin");
    const began = performance.now();
    this.#measuring = true;
    const progress = this.#reportProgress(began);
    await pause(durationMs);
    this.#measuring = false;
    const seconds = (performance.now() - began) / 1000;
    clearInterval(progress);
    await onMeasure("end");
    await this.#drain();
    return {
      records: this.#measuredRecords,
      seconds,
      latency: this.#latency,
      acknowledgedRecords: this.#acknowledgedRecords,
      failedBatches: this.#failedBatches,
      failures: this.#failures,
      unknownRecords: this.#unknownRecords,
    };
  }

  #pump(): void {
    const { plan, rate } = this.#options;
    clearTimeout(this.#dueTimer);
    while (!this.#ending && this.#inFlight < plan.inFlight) {
      const now = performance.now();
      if (rate === undefined) {
        this.#send(now);
        continue;
      }
      if (this.#dueMs > now) {
        this.#dueTimer = setTimeout(() => this.#pump(), this.#dueMs - now);
        return;
      }
      this.#send(this.#dueMs);
      this.#dueMs += (plan.records / rate) * 1000;
    }
  }

  #send(intendedMs: number): void {
    const { log, batches } = this.#options;
    const records = batches[this.#nextBatch % batches.length]!;
    this.#nextBatch += 1;
    this.#inFlight += 1;
    log.append(records).then(
      () => this.#answered(records.length, intendedMs),
      (cause) => this.#failed(toPaxlogError(cause), records.length),
    );
  }

  #answered(records: number, intendedMs: number): void {
    this.#acknowledgedRecords += records;
    this.#failedInRow = 0;
    if (this.#measuring) {
      const microseconds = Math.max(1, Math.round((performance.now() - intendedMs) * 1000));
      this.#latency.recordValue(Math.min(microseconds, latencyMicrosecondsMax));
      this.#interval.recordValue(Math.min(microseconds, latencyMicrosecondsMax));
      this.#measuredRecords += records;
    }
    this.#settle();
  }

  /** A leader that is lost is part of what is measured; a log that refuses everything must not be asked in an endless loop. */
  #failed(error: PaxlogError, records: number): void {
    this.#failedBatches += 1;
    this.#failedInRow += 1;
    if (this.#failures.length < failuresKept) this.#failures.push(error);
    if (error.outcome === "unknown") this.#unknownRecords += records;
    if (this.#failedInRow > 4 * this.#options.plan.inFlight) this.#ending = true;
    this.#settle();
  }

  #settle(): void {
    this.#inFlight -= 1;
    if (!this.#ending) this.#pump();
    else if (this.#inFlight === 0) this.#onIdle();
  }

  #drain(): Promise<void> {
    this.#ending = true;
    clearTimeout(this.#dueTimer);
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #reportProgress(began: number): NodeJS.Timeout {
    let recordsBefore = 0;
    let before = began;
    return setInterval(() => {
      const now = performance.now();
      this.#options.onProgress({
        seconds: (now - began) / 1000,
        recordsPerSecond: ((this.#measuredRecords - recordsBefore) / (now - before)) * 1000,
        p50Ms: this.#interval.getValueAtPercentile(50) / 1000,
        p99Ms: this.#interval.getValueAtPercentile(99) / 1000,
      });
      recordsBefore = this.#measuredRecords;
      before = now;
      this.#interval = newHistogram();
    }, 1000);
  }
}

function newHistogram(): Histogram {
  return build({ highestTrackableValue: latencyMicrosecondsMax, numberOfSignificantValueDigits: 3 });
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
