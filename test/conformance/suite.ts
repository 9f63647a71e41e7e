import { afterAll, beforeAll, describe } from "vitest";
import type { Log, LogRecord, PaxlogError } from "../../src/index.ts";
import { type RunningLog, type Way, ways } from "./ways.ts";

/** What the tests of one way share: a log that they all write to. */
export interface Subject {
  readonly way: Way;
  /** Two handles to the log; one thing said by one must be seen by the other. */
  readonly log: Log;
  readonly other: Log;
  another(): Promise<Log>;
}

/** The same tests for every way of use. The log outlives each test, so a test speaks of tags of its own and of the tail it found. */
export function describeEveryWay(define: (subject: Subject) => void): void {
  describe.each(ways.map((way) => [way.name, way] as const))("%s", (_name, way) => {
    let running: RunningLog;
    beforeAll(async () => {
      running = await way.start();
      // Once, whatever becomes of the first leader on a busy machine.
      const session = await running.handles[0].session();
      await session.append({ value: "the log is led" });
      await session.close();
    }, 60_000);
    afterAll(() => running.stop(), 30_000);
    define({
      way,
      get log() {
        return running.handles[0];
      },
      get other() {
        return running.handles[1];
      },
      another: () => running.another(),
    });
  });
}

let tagCount = 0;

/** A tag that no other test bears. */
export function newTag(): string {
  tagCount += 1;
  return `tag ${tagCount}`;
}

export async function tailOf(log: Log): Promise<number> {
  return (await log.tail()).tail;
}

/** The error with which it fails. The built files have classes of their own, so it is known by its name. */
export async function failureOf(promise: Promise<unknown>): Promise<PaxlogError> {
  const result = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("value" in result) throw new Error(`did not fail but gave ${JSON.stringify(result.value)}`);
  if (!(result.error instanceof Error && result.error.name === "PaxlogError")) throw result.error;
  return result.error as PaxlogError;
}

export async function recordsFrom(log: Log, from: number): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const record of log.read({ from })) records.push(record);
  return records;
}

export const textOf = ({ value }: LogRecord): string => Buffer.from(value).toString();
