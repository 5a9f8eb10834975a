/** The worker processes of this home on this machine, recorded so that they can be drained without knowing their pids. */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isRunning, listRegistered, registerProcess } from "../command/process-files.ts";

const POLL_MS = 200;

const folderOf = (home: string) => join(home, "workers");

/** Registers this process until the returned function is called, or the process has ended. */
export function registerWorker(home: string): Promise<() => Promise<void>> {
  return registerProcess(folderOf(home));
}

/** Sends SIGTERM to each and resolves with their number when all have ended. `onLeft` receives how many still run. */
export async function drainWorkers(home: string, onLeft: (left: number) => void): Promise<number> {
  const workers = await listRegistered(folderOf(home));
  for (const worker of workers) process.kill(Number.parseInt(worker, 10), "SIGTERM");
  for (;;) {
    const running = await Promise.all(workers.map(isRunning));
    const left = running.filter(Boolean).length;
    onLeft(left);
    if (left === 0) return workers.length;
    await pause(POLL_MS);
  }
}
