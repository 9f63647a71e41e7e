import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
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

const root = fileURLToPath(new URL(".", import.meta.url));
const excluded = process.env.PAXLOG_LONG === "1" ? [] : longTests;
const testFiles = readdirSync(`${root}/test`, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => `test/${name}`)
  .filter((name) => !excluded.includes(name));

/**
 * Nothing of these folders outlives its test: their many short files take turns in two processes, which import what they share once.
 * So a hook belongs to a file there, not to a module that several files import.
 */
const shared = /^test\/(client|core|format|linearizability|machine|runtime|sequencer|storage)\//;
/** But for the ones with processes of their own, or servers that are left frozen. */
const unshared = ["test/client/frozen-leader.test.ts", "test/storage/lock.test.ts"];
const isShared = (name: string) => shared.test(name) && !unshared.includes(name);

export default defineConfig({
  test: {
    // Native addons and worker threads of the same process abort under the threads pool.
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    // The gate runs a failed test once more and says so: tests of real processes run by real clocks. What is wrong fails twice.
    retry: reportFile === "" ? 0 : 1,
    ...(reportFile === "" ? {} : { reporters: ["default", ["json", { outputFile: reportFile }]] }),
    projects: [
      { extends: true, test: { name: "isolated", include: testFiles.filter((name) => !isShared(name)) } },
      { extends: true, test: { name: "shared", include: testFiles.filter(isShared), isolate: false } },
    ],
  },
});
