// Goal: the benchmarks of indexes hand back what they measured, verified. Method: run the built commands at their smoke size and look at
// the reports; speed is not looked at.
import { expect, test } from "vitest";
import type { OpenFigures } from "../../bench/open.ts";
import type { QueryReport } from "../../bench/query.ts";
import { runSmoke } from "./support.ts";

const timeout = 180_000;

test("query finds exactly the records of tags that are rare, common and absent", { timeout }, async () => {
  const { report } = await runSmoke<QueryReport>("query");
  const { queries, records, distinctTags, indexBytes, cost } = report.figures;
  expect({ records, distinctTags }).toEqual({ records: 60_000, distinctTags: 6_000 });
  expect(queries.map(({ found }) => found)).toEqual([1, 100, 10_000, expect.any(Number), 0]);
  expect(indexBytes).toBeGreaterThan(0);
  expect(cost.cpuUsPerRecord.indexing).toBeGreaterThan(0);
  expect(cost.recordsPerSecond.without).toBeGreaterThan(0);
});

test("open opens a small log and one five times as large, with the indexes of all closed segments", {
  timeout,
}, async () => {
  const { report } = await runSmoke<readonly OpenFigures[]>("open");
  const [small, large] = report.figures;
  expect(large!.segments).toBeGreaterThan(3 * small!.segments);
  for (const { indexed, segments, openMs } of [small!, large!]) {
    expect(indexed).toBeGreaterThanOrEqual(segments - 2);
    expect(openMs).toBeGreaterThan(0);
  }
});
