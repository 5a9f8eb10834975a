/** Files that identify a live process of this machine by pid and start time, because the system reuses a pid alone. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { codeOf } from "../domain/errors.ts";
import { readProcess } from "./process-tree.ts";

const run = promisify(execFile);

/** Returns one text per process: its pid and its start time. */
export async function describeProcess(pid: number): Promise<string> {
  return `${pid} ${(await readStartTime(pid)) ?? "ended"}`;
}

/** Returns whether `text`, as written by `describeProcess`, identifies a process that still runs. */
export async function isRunning(text: string): Promise<boolean> {
  const [pid = "", startTime] = text.split(" ");
  const current = await readStartTime(Number(pid));
  return current !== undefined && current === startTime;
}

/** Records that this process uses what `dir` represents, until the returned function is called or the process has ended. */
export async function registerProcess(dir: string): Promise<() => Promise<void>> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, randomUUID());
  await createWithContent(file, await describeProcess(process.pid));
  return () => rm(file, { force: true });
}

/** Returns the texts of the processes that are registered in `dir` and still run. Removes the files of those that have ended. */
export async function listRegistered(dir: string): Promise<readonly string[]> {
  const running: string[] = [];
  for (const name of await readdir(dir).catch(() => [])) {
    if (name.startsWith(DRAFT)) continue;
    const text = await readFile(join(dir, name), "utf8").catch(() => "");
    if (await isRunning(text)) running.push(text);
    else await rm(join(dir, name), { force: true });
  }
  return running;
}

const DRAFT = "draft-";

/** Creates the file together with its content, so that no reader sees half of it; false when the name is taken. */
export async function createWithContent(path: string, content: string): Promise<boolean> {
  const draft = join(dirname(path), `${DRAFT}${randomUUID()}`);
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

/** A word without spaces; undefined when the process has ended. A zombie has ended: it runs nothing and waits to be reaped. */
async function readStartTime(pid: number): Promise<string | undefined> {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  if (process.platform === "linux") {
    const info = readProcess(pid);
    return info && info.state !== "Z" && info.state !== "X" ? String(info.startTime) : undefined;
  }
  const shown = await run("ps", ["-o", "lstart=", "-p", String(pid)]).catch(() => undefined);
  return shown?.stdout.trim().replaceAll(/\s+/g, "-");
}
