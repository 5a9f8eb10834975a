/** Everything generated from the code is up to date: `npm run generate` writes it, and this test compares it. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { PROCESSORS } from "../../processors/index.ts";
import { QUEUES } from "../../queues/index.ts";
import { GENERATED } from "../../scripts/generated/files.ts";

test.each(Object.entries(GENERATED))("%s matches the code", async (path, generate) => {
  const current = await readFile(path, "utf8").catch(() => "");
  const isCurrent = current === (await generate());

  expect(isCurrent, `${path} is out of date. Write it again: npm run generate`).toBe(true);
});

test("every queue is handled by the processor that docs/queues.md names", () => {
  const answered = new Set([...PROCESSORS.map(({ queue }) => queue.name), "host"]);

  expect(QUEUES.map(({ name }) => name.split(".")[0] ?? name).filter((word) => !answered.has(word))).toEqual([]);
});
