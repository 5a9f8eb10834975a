/** Which worker processes of this home run on this machine: so that one can be told to drain without knowing its pid. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isAlive, readProcess } from "../command/process-tree.ts";

const folderOf = (home: string) => join(home, "workers");

/** Until the returned function is called, or the process is gone. */
export async function registerWorker(home: string): Promise<() => Promise<void>> {
  const file = join(folderOf(home), String(process.pid));
  await mkdir(folderOf(home), { recursive: true, mode: 0o700 });
  await writeFile(file, String(readProcess(process.pid)?.startTime ?? ""));
  return () => rm(file, { force: true });
}

/** SIGTERM to each; how many there were. Resolves when all have ended; `onLeft` hears how many still work. */
export async function drainWorkers(home: string, onLeft: (left: number) => void): Promise<number> {
  const found = await listWorkers(home);
  for (const { pid } of found) process.kill(pid, "SIGTERM");
  for (;;) {
    const left = found.filter(({ pid, startTime }) => isAlive(pid, startTime)).length;
    onLeft(left);
    if (left === 0) return found.length;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function listWorkers(home: string): Promise<{ pid: number; startTime: number }[]> {
  const files = await readdir(folderOf(home)).catch(() => []);
  const workers = await Promise.all(
    files.map(async (name) => {
      const startTime = Number(await readFile(join(folderOf(home), name), "utf8"));
      if (isAlive(Number(name), startTime)) return [{ pid: Number(name), startTime }];
      // Killed: its note outlived it.
      await rm(join(folderOf(home), name), { force: true });
      return [];
    }),
  );
  return workers.flat();
}
