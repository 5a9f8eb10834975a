/** How the tests run: one world per file, files in parallel, real stores prepared once. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    globalSetup: ["tests/support/prepare.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
