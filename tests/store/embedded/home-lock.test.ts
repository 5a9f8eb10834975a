/** The lock of a home: one at a time, and never held by the dead. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { countLiveProcesses, registerProcess, withLock } from "../../../src/store/embedded/home-lock.ts";
import { temporaryHome } from "../../support/home.ts";

const DEAD = [`${process.pid} 1 our-pid-in-an-earlier-life`, "4194399 77 no-such-process", "", "half"];

test.each(DEAD)("many that find the lock of the dead (%j) take it one at a time", async (left) => {
  await using home = await temporaryHome();
  const lock = join(home.path, "lock");
  await writeFile(lock, left);
  let inside = 0;
  let most = 0;
  let done = 0;

  await Promise.all(
    Array.from({ length: 20 }, () =>
      withLock(lock, async () => {
        inside += 1;
        most = Math.max(most, inside);
        await turn();
        inside -= 1;
        done += 1;
      }),
    ),
  );

  expect({ most, done }).toEqual({ most: 1, done: 20 });
  expect(await readdir(home.path)).toEqual([]);
});

test("work that fails gives the lock back, and who waits too long is told who holds it", async () => {
  await using home = await temporaryHome();
  const lock = join(home.path, "lock");

  await expect(withLock(lock, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  await withLock(lock, async () => {
    await expect(withLock(lock, () => Promise.resolve(), 50)).rejects.toMatchObject({ code: "database-unavailable" });
  });
});

test("of those who use the server only the living count", async () => {
  await using home = await temporaryHome();
  await registerProcess(home.path);
  for (const [index, left] of DEAD.entries()) await writeFile(join(home.path, String(index)), left);

  expect(await countLiveProcesses(home.path)).toBe(1);
  expect(await readdir(home.path)).toHaveLength(1);
});
