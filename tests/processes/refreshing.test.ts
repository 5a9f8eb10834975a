/**
 * A refreshed value is never older than promised, read once for all callers, and survives an unavailable database for
 * a while.
 */
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { FleetError } from "../../src/domain/errors.ts";
import { refreshing } from "../../src/processes/refreshing.ts";

test("callers at the same time share one read, and a young value needs none", async () => {
  let reads = 0;
  const value = refreshing(async () => (reads += 1));

  expect(await Promise.all([value.get(), value.get(), value.get()])).toEqual([1, 1, 1]);
  expect(await value.get()).toBe(1);
  expect(await value.refresh()).toBe(2);
  expect(await value.get()).toBe(2);
});

test("an old value is read again; while the database is unavailable it still counts", async () => {
  const answers = [async () => "first", unavailable, async () => "second", broken];
  const value = refreshing(async () => answers.shift()?.(), { maxAgeMs: 0 });

  expect(await value.get()).toBe("first");
  expect(await value.get()).toBe("first");
  expect(await value.get()).toBe("second");
  await expect(value.get()).rejects.toThrow("broken");
});

test("without a first value an unavailable database is an error", async () => {
  await expect(refreshing(unavailable).get()).rejects.toMatchObject({ code: "database-unavailable" });
});

test("a slow read does not replace what a later one found", async () => {
  const answers = [pause(20, "old"), Promise.resolve("new")];
  const value = refreshing(() => answers.shift() ?? Promise.reject(new Error("too many reads")));
  const first = value.refresh();
  await value.refresh();

  expect(await first).toBe("old");
  expect(await value.get()).toBe("new");
});

async function unavailable(): Promise<string> {
  throw new FleetError("database-unavailable", "away");
}

async function broken(): Promise<string> {
  throw new Error("broken");
}
