/** Two small facts kept in files of one home: who may change the embedded server now (a lock), and who uses it. */
import { randomUUID } from "node:crypto";
import { execFile } from "node:child_process";
import { link, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { codeOf, FleetError } from "../../domain/errors.ts";

const execFileAsync = promisify(execFile);

/** Far longer than breaking a lock takes, far shorter than anybody waits. */
const BREAK_TIMEOUT_MS = 10_000;

/** Does the work while no other process of this home does. A lock whose process is gone is taken over. */
export async function withLock<Result>(path: string, work: () => Promise<Result>, waitMs = 120_000): Promise<Result> {
  const holder = `${process.pid} ${await readProcessStart(process.pid)} ${randomUUID()}`;
  const deadline = Date.now() + waitMs;
  while (!(await tryLock(path, holder))) {
    await breakStaleLock(path);
    if (Date.now() > deadline) throw lockTimeoutError(path, waitMs);
    await pause(25);
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

/** Says that this process uses the server; returns the file to remove when it no longer does. */
export async function registerProcess(dir: string): Promise<string> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, randomUUID());
  await writeFile(path, `${process.pid} ${await readProcessStart(process.pid)}`);
  return path;
}

/** How many living processes use the server; what the dead left is swept away. Only under the lock. */
export async function countLiveProcesses(dir: string): Promise<number> {
  let living = 0;
  for (const file of await readdir(dir).catch(() => [])) {
    const path = join(dir, file);
    if (await isAlive(await readFile(path, "utf8").catch(() => ""))) living += 1;
    else await rm(path, { force: true });
  }
  return living;
}

/** The content appears together with the file: a lock is never seen half written. */
async function tryLock(path: string, content: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, content, { mode: 0o600 });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * Several may see the same dead lock, and a slow one must not remove the new lock of a fast one: so it is removed only
 * under a lock of its own, held for a moment. One that is old was left by a process killed in that moment.
 */
async function breakStaleLock(path: string): Promise<void> {
  if (!(await isStaleLock(path))) return;
  const breaking = `${path}.breaking`;
  if (await tryLock(breaking, String(process.pid))) {
    if (await isStaleLock(path)) await rm(path, { force: true });
    await rm(breaking, { force: true });
    return;
  }
  const since = (await stat(breaking).catch(() => undefined))?.mtimeMs ?? Date.now();
  if (Date.now() - since > BREAK_TIMEOUT_MS) await rm(breaking, { force: true });
}

async function isStaleLock(path: string): Promise<boolean> {
  const holder = await readFile(path, "utf8").catch(() => undefined);
  return holder !== undefined && !(await isAlive(holder));
}

/** A process id alone proves nothing, it is used again; with the time of its start it does. */
async function isAlive(holder: string): Promise<boolean> {
  const [pid, start] = holder.split(" ");
  return pid !== undefined && start !== undefined && (await readProcessStart(Number(pid))) === start;
}

/** When a process started, as a word without spaces; undefined when there is no such process. */
async function readProcessStart(pid: number): Promise<string | undefined> {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  if (process.platform === "linux") {
    const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
    return line?.slice(line.lastIndexOf(")") + 2).split(" ")[19]; // field 22; the name before it may hold anything
  }
  const shown = await execFileAsync("ps", ["-o", "lstart=", "-p", String(pid)]).catch(() => undefined);
  return shown?.stdout.trim().replaceAll(/\s+/g, "-");
}

function lockTimeoutError(path: string, waitMs: number): FleetError {
  const sentence =
    `Another fleet process has been starting or stopping PostgreSQL for ${Math.round(waitMs / 1000)} s ` +
    `and holds ${path}. See what it does, or try again.`;
  return new FleetError("database-unavailable", sentence, { path });
}
