import { build, type Histogram } from "hdr-histogram-js";
import { PaxlogError } from "../../base/errors.ts";

/** One caller's next operation; resolves once it is done. */
export type Operation = () => Promise<unknown>;

export interface LoadResult {
  readonly operations: number;
  readonly seconds: number;
  /** Of single operations, in microseconds. */
  readonly latency: Histogram;
}

export interface LoadTimes {
  readonly warmupMs: number;
  readonly durationMs: number;
}

const latencyMicrosecondsMax = 600_000_000;

export const newHistogram = (): Histogram =>
  build({ highestTrackableValue: latencyMicrosecondsMax, numberOfSignificantValueDigits: 3 });

/**
 * Callers that each have one operation under way: the next one begins when the last one is done. What ends within the measured time
 * counts. @throws PaxlogError of the first operation that fails: what is measured must not be another thing than what is told.
 */
export async function callersLoad(
  callers: readonly Operation[],
  { warmupMs, durationMs }: LoadTimes,
): Promise<LoadResult> {
  const latency = newHistogram();
  const begins = performance.now() + warmupMs;
  const ends = begins + durationMs;
  let operations = 0;
  await Promise.all(
    callers.map(async (operation) => {
      for (let began = performance.now(); began < ends; ) {
        await operation();
        const now = performance.now();
        if (now >= begins && now < ends) {
          operations += 1;
          latency.recordValue(Math.max(1, Math.min(Math.round((now - began) * 1000), latencyMicrosecondsMax)));
        }
        began = now;
      }
    }),
  );
  return { operations, seconds: durationMs / 1000, latency };
}

/** Throws where a count is not what it must be: what was acknowledged took effect, once. */
export function verifyCount(what: string, actual: number, expected: number): void {
  if (actual === expected) return;
  throw new PaxlogError("INVARIANT_BROKEN", `${what}: ${actual} where ${expected} were acknowledged`);
}
