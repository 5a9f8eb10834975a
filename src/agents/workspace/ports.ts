/** Port blocks: each workspace leases ten ports of its own, so that dev servers of parallel agents do not collide. */
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { createWithContent } from "../../command/process-files.ts";
import { SpawnError } from "../../domain/errors.ts";
import { portRoot, workspaceRoot } from "../paths.ts";

/** Below the range from which Linux assigns ports by itself (32768 on), above what services commonly use. */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;
export const PORTS_PER_WORKSPACE = 10;
/** A lease without a workspace is removed only when it is so old that the workspace cannot be under construction. */
const ORPHAN_MS = 3_600_000;

/** The same workspace gets the same block each time. Of several that want one block, the first to create its file has it. */
export async function leasePorts(home: string, shortName: string): Promise<number> {
  const root = portRoot(home);
  await mkdir(root, { recursive: true, mode: 0o700 });
  const taken = await readLeases(home);
  const own = [...taken].find(([, holder]) => holder === shortName);
  if (own) return own[0];
  for (let base = FIRST_PORT; base < LAST_PORT; base += PORTS_PER_WORKSPACE) {
    if (!taken.has(base) && (await createWithContent(join(root, String(base)), shortName))) return base;
  }
  throw new SpawnError(
    "WORKSPACE_FAILED",
    "workspace",
    "All port blocks are leased: remove workspaces that are no longer needed.",
  );
}

export async function releasePorts(home: string, shortName: string): Promise<void> {
  for (const [base, holder] of await readLeases(home)) {
    if (holder === shortName) await rm(join(portRoot(home), String(base)), { force: true });
  }
}

async function readLeases(home: string): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (const name of await readdir(portRoot(home)).catch(() => [])) {
    const base = Number(name);
    if (!Number.isInteger(base)) continue;
    const path = join(portRoot(home), name);
    const holder = await readFile(path, "utf8").catch(() => undefined);
    if (holder === undefined) continue;
    if (await isOrphan(home, path, holder)) await rm(path, { force: true });
    else found.set(base, holder);
  }
  return found;
}

async function isOrphan(home: string, path: string, holder: string): Promise<boolean> {
  if (await stat(join(workspaceRoot(home), holder)).catch(() => undefined)) return false;
  const lease = await stat(path).catch(() => undefined);
  return lease !== undefined && Date.now() - lease.mtimeMs > ORPHAN_MS;
}
