/** Long lists in batches: every item once and in order, and no more at once than a batch holds. */
import { expect, test } from "vitest";
import { batchesOf, inBatches } from "../../src/domain/batches.ts";

test("a list is cut into batches, of which the last may be shorter", () => {
  expect(batchesOf([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(batchesOf([], 2)).toEqual([]);
});

test("no more items than a batch holds are worked on at once, and results keep the order", async () => {
  let running = 0;
  let most = 0;
  const work = async (item: number) => {
    running += 1;
    most = Math.max(most, running);
    await Promise.resolve();
    running -= 1;
    return item * 2;
  };

  expect(await inBatches([1, 2, 3, 4, 5], 2, work)).toEqual([2, 4, 6, 8, 10]);
  expect(most).toBe(2);
});

test("an aborted signal lets the current batch finish, and starts no other", async () => {
  const stopping = new AbortController();
  const work = async (item: number) => {
    stopping.abort();
    return item;
  };

  expect(await inBatches([1, 2, 3, 4], 2, work, stopping.signal)).toEqual([1, 2]);
});
