import { defineConfig } from "vitest/config";

/** Where the gate wants a report for machines beside the one for people. */
const reportFile = process.env.VITEST_JSON ?? "";

/** Too long for every change: `npm run test:long` runs these too. */
const longTests = [
  "test/bench/goals.test.ts",
  "test/cluster/first-replies.test.ts",
  "test/cluster/tmpfs.test.ts",
  "test/simulator/guard-mutants.test.ts",
];

export default defineConfig({
  test: {
    // Native addons and worker threads of the same process abort under the threads pool.
    pool: "forks",
    include: ["test/**/*.test.ts"],
    exclude: process.env.PAXLOG_LONG === "1" ? [] : longTests,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    // The gate runs a failed test once more and says so: tests of real processes run by real clocks. What is wrong fails twice.
    retry: reportFile === "" ? 0 : 1,
    ...(reportFile === "" ? {} : { reporters: ["default", ["json", { outputFile: reportFile }]] }),
  },
});
