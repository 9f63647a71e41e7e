import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Native addons and worker threads of the same process abort under the threads pool.
    pool: "forks",
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
  },
});
