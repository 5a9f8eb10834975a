/** How the tests run: one world per file, files in parallel, real stores prepared once. */
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // Most of a test is waiting for real processes: with one file more than cores, a core that waits has something to do.
    maxWorkers: availableParallelism() + 1,
    globalSetup: ["tests/support/prepare.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
