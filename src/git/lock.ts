/**
 * A lock between processes of one machine, held by a file. It cannot be taken from a live holder and is never left behind
 * by a dead one: each holding has a number one higher than the last, so processes that take over from the dead race for one name.
 */
import { randomUUID } from "node:crypto";
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isAlive, readProcess } from "../command/process-tree.ts";
import { FleetError, codeOf } from "../domain/errors.ts";

export interface LockOptions {
  readonly timeoutMs: number;
}

const MAX_PAUSE_MS = 50;
const RELEASED = "released";

/** `dir` belongs to the lock alone. */
export async function withLock<Value>(dir: string, options: LockOptions, work: () => Promise<Value>): Promise<Value> {
  const held = await acquire(dir, options);
  try {
    return await work();
  } finally {
    await release(dir, held);
  }
}

async function acquire(dir: string, { timeoutMs }: LockOptions): Promise<number> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, MAX_PAUSE_MS)) {
    const holding = await tryAcquire(dir);
    if (holding !== undefined) return holding;
    if (performance.now() > deadline) {
      throw new FleetError(
        "git-failed",
        `The lock ${dir} was not free within ${timeoutMs} ms: ${await describeHolder(dir)}`,
      );
    }
    await pause(pauseMs);
  }
}

async function tryAcquire(dir: string): Promise<number | undefined> {
  const last = await newestHolding(dir);
  if (last > 0 && !(await isFree(dir, last))) return undefined;

  const mine = last + 1;
  const draft = join(dir, `draft-${randomUUID()}`);
  await writeFile(draft, `${process.pid} ${readProcess(process.pid)?.startTime ?? 0}`, { mode: 0o600 });
  try {
    await link(draft, join(dir, String(mine)));
  } catch (error) {
    if (codeOf(error) === "EEXIST") return undefined;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  // Somebody may have gone through two holdings while we were between look and link: then ours is not the newest.
  if ((await newestHolding(dir)) !== mine) {
    await rm(join(dir, String(mine)), { force: true });
    return undefined;
  }
  await removeOlder(dir, mine);
  return mine;
}

async function release(dir: string, held: number): Promise<void> {
  const draft = join(dir, `draft-${randomUUID()}`);
  await writeFile(draft, RELEASED, { mode: 0o600 });
  await rename(draft, join(dir, String(held)));
}

async function isFree(dir: string, number: number): Promise<boolean> {
  const text = await readFile(join(dir, String(number)), "utf8").catch(() => undefined);
  // Gone means that a newer holding has tidied up: look again.
  if (text === undefined) return false;
  if (text === RELEASED) return true;
  const [pid, startTime] = text.split(" ").map(Number);
  return pid === undefined || !isAlive(pid, startTime);
}

async function newestHolding(dir: string): Promise<number> {
  return Math.max(0, ...(await holdings(dir)));
}

async function holdings(dir: string): Promise<number[]> {
  return (await readdir(dir)).map(Number).filter((number) => Number.isSafeInteger(number) && number > 0);
}

async function removeOlder(dir: string, mine: number): Promise<void> {
  for (const number of await holdings(dir)) if (number < mine) await rm(join(dir, String(number)), { force: true });
}

async function describeHolder(dir: string): Promise<string> {
  const text = await readFile(join(dir, String(await newestHolding(dir))), "utf8").catch(() => RELEASED);
  return text === RELEASED ? "it was just released" : `process ${text.split(" ")[0] ?? "?"} holds it`;
}
