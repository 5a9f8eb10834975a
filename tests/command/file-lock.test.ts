/** The lock between processes: one holder at a time, and a process that has ended holds nothing. */
import { fork } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { withLock } from "../../src/command/file-lock.ts";
import { describeProcess, listRegistered, registerProcess } from "../../src/command/process-files.ts";
import { temporaryHome } from "../support/home.ts";

const DEAD = [`${process.pid} 1 our-pid-in-an-earlier-life`, "4194399 77 no-such-process", "", "half"];
const OPTIONS = { timeoutMs: 20_000, code: "git-failed" } as const;

test.each([undefined, ...DEAD])("of many that want a lock (left by %j) one has it at a time", async (left) => {
  await using home = await temporaryHome();
  const dir = join(home.path, "lock");
  if (left !== undefined) {
    await mkdir(dir);
    await writeFile(join(dir, "7"), left);
  }
  let inside = 0;
  let most = 0;
  let done = 0;

  await Promise.all(
    Array.from({ length: 20 }, () =>
      withLock(dir, OPTIONS, async () => {
        inside += 1;
        most = Math.max(most, inside);
        await turn();
        inside -= 1;
        done += 1;
      }),
    ),
  );

  expect({ most, done }).toEqual({ most: 1, done: 20 });
  expect(await readdir(dir)).toHaveLength(1);
  expect(await readdir(home.path)).toEqual(["lock"]);
});

test("work that fails releases the lock; a caller that waits too long gets the error it named", async () => {
  await using home = await temporaryHome();
  const dir = join(home.path, "lock");

  await expect(withLock(dir, OPTIONS, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  await withLock(dir, OPTIONS, async () => {
    const hurried = { timeoutMs: 50, code: "database-unavailable" } as const;
    await expect(withLock(dir, hurried, () => Promise.resolve())).rejects.toMatchObject({
      code: "database-unavailable",
    });
  });
});

test("the lock of a process that died is taken over", async () => {
  await using home = await temporaryHome();
  const dir = join(home.path, "lock");
  await mkdir(dir);
  const dead = fork("/dev/null", { stdio: "ignore" });
  await new Promise((resolve) => dead.once("exit", resolve));
  await writeFile(join(dir, "7"), `${dead.pid} 1`);

  expect(await withLock(dir, { ...OPTIONS, timeoutMs: 1_000 }, async () => "mine")).toBe("mine");
});

test("a caller waits for the lock of a live process, and the refusal names that process", async () => {
  await using home = await temporaryHome();
  const dir = join(home.path, "lock");
  await mkdir(dir);
  await writeFile(join(dir, "1"), await describeProcess(process.pid));

  await expect(withLock(dir, { ...OPTIONS, timeoutMs: 60 }, async () => "mine")).rejects.toThrow(
    `process ${process.pid} holds it`,
  );
});

test("of the registered processes only the live ones are listed", async () => {
  await using home = await temporaryHome();
  await registerProcess(home.path);
  for (const [index, left] of DEAD.entries()) await writeFile(join(home.path, String(index)), left);

  expect(await listRegistered(home.path)).toEqual([await describeProcess(process.pid)]);
  expect(await readdir(home.path)).toHaveLength(1);
});
