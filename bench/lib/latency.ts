import { build, type Histogram } from "hdr-histogram-js";

export interface LatencyMs {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

const microsecondsMax = 600_000_000;

/** Of microseconds, to three digits. */
export function newHistogram(): Histogram {
  return build({ highestTrackableValue: microsecondsMax, numberOfSignificantValueDigits: 3 });
}

export function recordMs(histogram: Histogram, milliseconds: number): void {
  histogram.recordValue(Math.min(microsecondsMax, Math.max(1, Math.round(milliseconds * 1000))));
}

export function latencyOf(histogram: Histogram): LatencyMs {
  const max = histogram.maxValue / 1000;
  // A percentile is the upper end of its bucket, which may lie above the largest value in it.
  const at = (percentile: number) => Math.min(max, histogram.getValueAtPercentile(percentile) / 1000);
  return { p50: at(50), p99: at(99), p999: at(99.9), max };
}
