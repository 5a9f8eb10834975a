/** How the tests run: one world per file, files in parallel, real stores prepared once. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // Most of a test is waiting for real processes: left to itself vitest keeps one core free, and half of two is much.
    maxWorkers: "100%",
    globalSetup: ["tests/support/prepare.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
