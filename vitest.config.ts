import { defineConfig } from "vitest/config";

/** Where the gate wants a report for machines beside the one for people. */
const reportFile = process.env.VITEST_JSON ?? "";

export default defineConfig({
  test: {
    // Native addons and worker threads of the same process abort under the threads pool.
    pool: "forks",
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    // The gate runs a failed test once more and says so: tests of real processes run by real clocks. What is wrong fails twice.
    retry: reportFile === "" ? 0 : 1,
    ...(reportFile === "" ? {} : { reporters: ["default", ["json", { outputFile: reportFile }]] }),
  },
});
