/**
 * A lock between processes of one machine, held by a file. It cannot be taken from a live holder, and a holder that died
 * does not block it: each holder has a number one higher than the last, so all who take over race to create one file name.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type FailureCode, FleetError } from "../domain/errors.ts";
import { createWithContent, describeProcess, isRunning } from "./process-files.ts";

export interface LockOptions {
  readonly timeoutMs: number;
  /** The error code when the lock was not free within that time. */
  readonly code: FailureCode;
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

async function acquire(dir: string, { timeoutMs, code }: LockOptions): Promise<number> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, MAX_PAUSE_MS)) {
    const holding = await tryAcquire(dir);
    if (holding !== undefined) return holding;
    if (performance.now() > deadline) {
      const sentence = `The lock ${dir} was not free within ${timeoutMs} ms: ${await describeHolder(dir)}.`;
      throw new FleetError(code, sentence, { dir });
    }
    await pause(pauseMs);
  }
}

async function tryAcquire(dir: string): Promise<number | undefined> {
  const last = await newestHolding(dir);
  if (last > 0 && !(await isFree(dir, last))) return undefined;

  const mine = last + 1;
  if (!(await createWithContent(join(dir, String(mine)), await describeProcess(process.pid)))) return undefined;
  // Others may have acquired and released twice since we read the newest number, so ours may not be the newest.
  if ((await newestHolding(dir)) !== mine) {
    await rm(join(dir, String(mine)), { force: true });
    return undefined;
  }
  for (const number of await holdings(dir)) if (number < mine) await rm(join(dir, String(number)), { force: true });
  return mine;
}

async function release(dir: string, held: number): Promise<void> {
  const draft = join(dir, `draft-${randomUUID()}`);
  await writeFile(draft, RELEASED, { mode: 0o600 });
  await rename(draft, join(dir, String(held)));
}

async function isFree(dir: string, number: number): Promise<boolean> {
  const text = await readFile(join(dir, String(number)), "utf8").catch(() => undefined);
  // A newer holder removes the file, so read the numbers again.
  if (text === undefined) return false;
  return text === RELEASED || !(await isRunning(text));
}

async function newestHolding(dir: string): Promise<number> {
  return Math.max(0, ...(await holdings(dir)));
}

async function holdings(dir: string): Promise<number[]> {
  return (await readdir(dir)).map(Number).filter((number) => Number.isSafeInteger(number) && number > 0);
}

async function describeHolder(dir: string): Promise<string> {
  const text = await readFile(join(dir, String(await newestHolding(dir))), "utf8").catch(() => RELEASED);
  return text === RELEASED ? "it was just released" : `process ${text.split(" ")[0] ?? "?"} holds it`;
}
