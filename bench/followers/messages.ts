/** What the load and the process that holds its readers say to each other. */

/** Readers of one kind, all on one node. */
export interface ReaderGroup {
  readonly count: number;
  /** own: the records of its own tag; all: everything; none: a tag that no record has. */
  readonly wants: "own" | "all" | "none";
  /** Takes its first answer and then nothing more. */
  readonly stalled: boolean;
  /** Readers that share one connection. */
  readonly perConnection: number;
}

export type Order =
  | { readonly kind: "attach"; readonly address: string; readonly groups: readonly ReaderGroup[] }
  /** Counts latencies from now on, or no more. */
  | { readonly kind: "measure"; readonly on: boolean }
  | { readonly kind: "report" };

export interface KindReport {
  readonly records: number;
  /** Of records whose append was due while latencies were counted. */
  readonly deliveryMs: { readonly p50: number; readonly p99: number; readonly p999: number; readonly max: number };
}

export interface ReadersReport {
  readonly kind: "report";
  /** Readers whose stream still runs. */
  readonly running: number;
  readonly own: KindReport;
  readonly all: KindReport;
  /** Next number that each reader of its own tag waits for, by tag; and of each reader of everything. */
  readonly nextOfTag: readonly number[];
  readonly nextOfAll: readonly number[];
  /** What went wrong, the first few. */
  readonly faults: readonly string[];
}

export type Answer = { readonly kind: "attached" } | { readonly kind: "measuring" } | ReadersReport;

export const tagOf = (index: number): string => `follower-${index}`;

/** The head of each record's value; clocks of one machine's processes agree. */
export const recordHead = { dueUs: 0, tag: 8, numberInTag: 12, number: 16, bytes: 20 } as const;

export const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);
