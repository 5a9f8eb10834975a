/** Port blocks: each workspace leases ten ports of its own, so that dev servers of parallel agents do not collide. */
import { link, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { SpawnError, codeOf } from "../../domain/errors.ts";
import { portRoot, workspaceRoot } from "../paths.ts";

/** The range is below Linux's ephemeral ports (from 32768) and above the ports that services commonly use. */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;
export const PORTS_PER_WORKSPACE = 10;
/** A lease without a workspace is released only after this time, because the workspace may still be in preparation. */
const ORPHAN_MS = 3_600_000;

/** Leases a block of ports. The same workspace gets the same block again. */
export async function leasePorts(home: string, shortName: string): Promise<number> {
  const root = portRoot(home);
  await mkdir(root, { recursive: true, mode: 0o700 });
  const taken = await readLeases(home);
  const own = [...taken].find(([, holder]) => holder === shortName);
  if (own) return own[0];
  for (let base = FIRST_PORT; base < LAST_PORT; base += PORTS_PER_WORKSPACE) {
    if (!taken.has(base) && (await claimBlock(root, base, shortName))) return base;
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

/** A file that appears with its content: the process that links first has the block. */
async function claimBlock(root: string, base: number, shortName: string): Promise<boolean> {
  const draft = join(root, `.draft-${randomUUID()}`);
  await writeFile(draft, shortName, { mode: 0o600 });
  try {
    await link(draft, join(root, String(base)));
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
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
