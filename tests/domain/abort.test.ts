/** A time limit on waiting: it ends the wait, passes results and failures through, and leaves nothing behind. */
import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { settlesWithin, withSignal, withTimeout } from "../../src/domain/abort.ts";

const never = new Promise<never>(() => {});

test("the signal's reason is the error: before the work, during it, and when it is not an Error", async () => {
  const { signal, abort } = controlled();
  const waiting = withSignal(signal, never);
  abort(new Error("shutdown"));

  await expect(waiting).rejects.toThrow("shutdown");
  await expect(withSignal(signal, Promise.resolve("late"))).rejects.toThrow("shutdown");
  await expect(withSignal(AbortSignal.abort("a word"), never)).rejects.toThrow("a word");
});

test("a result and a failure pass through, and the signal has no listener left", async () => {
  const { signal } = controlled();

  expect(await withSignal(signal, Promise.resolve("done"))).toBe("done");
  await expect(withSignal(signal, Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("work that takes too long is an error that names the limit; its own late failure is ignored", async () => {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error("late")), 30);
  });

  await expect(withTimeout(10, late)).rejects.toThrow("no answer within 10 ms");
  await expect(late).rejects.toThrow("late");
});

test("work settles within its limit by its result or its failure, not by waiting", async () => {
  expect(await settlesWithin(1_000, Promise.resolve())).toBe(true);
  expect(await settlesWithin(1_000, Promise.reject(new Error("broken")))).toBe(true);
  expect(await settlesWithin(10, never)).toBe(false);
});

function controlled() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason: Error) => controller.abort(reason) };
}
