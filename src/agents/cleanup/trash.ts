/** Quarantines items by renaming them into a trash folder, and deletes what was quarantined: never outside the root, and never through a link. */
import { lstat, mkdir, readdir, realpath, rename } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { lastLines, runCommand } from "../../command/run.ts";
import { batchesOf } from "../../domain/batches.ts";
import { codeOf, FleetError } from "../../domain/errors.ts";
import { UUID } from "../../domain/text/uuid.ts";
import { SYSTEM_PATH } from "../../git/git.ts";

const DELETE_TIMEOUT_MS = 10 * 60_000;
const SIZE_TIMEOUT_MS = 30_000;
const TRASH = ".trash";
/** What this file puts aside is called by the id of its mark; others' names in the same folder are theirs. */

export function isMarkId(name: string): boolean {
  return UUID.test(name);
}

/** Returns the quarantine path, which is on the same file system as the root, so that a rename works. */
export function quarantinePath(root: string, id: string): string {
  return join(root, TRASH, id);
}

/**
 * Renames `path` to its quarantine path; false when it does not exist (any more). A path that is not below `root` after
 * resolving links is refused, and so is a root or a trash folder that is a link.
 */
export async function quarantine(root: string, path: string, id: string): Promise<boolean> {
  if (!UUID.test(id)) throw deletionRefused(id, "it is not the id of a mark");
  const real = await resolveRoot(root);
  if (!(await tryLstat(path))) return false;
  await assertBelow(real, path);
  const trash = join(real, TRASH);
  await mkdir(trash, { mode: 0o700 }).catch((error: unknown) => {
    if (codeOf(error) !== "EEXIST") throw error;
  });
  if (!(await lstat(trash)).isDirectory()) throw deletionRefused(trash, "it is not a folder");
  try {
    await rename(path, join(trash, id));
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Deletes a quarantined item and nothing else; it is idempotent. */
export async function deleteQuarantined(root: string, id: string): Promise<void> {
  if (!UUID.test(id)) throw deletionRefused(id, "it is not the id of a mark");
  const real = await resolveRoot(root).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (real === undefined) return;
  const trash = join(real, TRASH, id);
  if (!(await tryLstat(trash))) return;
  await assertBelow(join(real, TRASH), trash);
  await deleteTree(trash);
}

/** Lists the quarantined items of a root, and since when they are there. */
export async function listQuarantined(root: string): Promise<{ id: string; since: Date }[]> {
  const names = (await readdir(join(root, TRASH)).catch(() => [])).filter((name) => UUID.test(name));
  const found = await Promise.all(
    names.map(async (id) => ({ id, since: (await tryLstat(join(root, TRASH, id)))?.ctime })),
  );
  return found.flatMap(({ id, since }) => (since ? [{ id, since }] : []));
}

/** Package caches contain read-only folders, so permissions are changed if the first try fails. Links are not followed. */
export async function deleteTree(trash: string): Promise<void> {
  const at = { cwd: "/", env: { PATH: SYSTEM_PATH, LC_ALL: "C" }, timeoutMs: DELETE_TIMEOUT_MS };
  const rm = ["rm", "-rf", "--one-file-system", "--", trash];
  let result = await runCommand(rm, at);
  if (result.exitCode !== 0) {
    await runCommand(["chmod", "-R", "u+rwX", "--", trash], at);
    result = await runCommand(rm, at);
  }
  if (result.exitCode === 0) return;
  throw deletionRefused(trash, lastLines(result.stderr, 3));
}

/** Measures the bytes on the disk of each path; what cannot be measured is left out. Links are not followed. */
export async function measureSizes(paths: readonly string[]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const at = { cwd: "/", env: { PATH: SYSTEM_PATH, LC_ALL: "C" }, timeoutMs: SIZE_TIMEOUT_MS };
  for (const batch of batchesOf(paths, 200)) {
    const { stdout } = await runCommand(["du", "-s", "-k", "-P", "--", ...batch], at);
    for (const line of stdout.split("\n")) {
      const [kilobytes = "", ...rest] = line.split("\t");
      if (rest.length > 0) sizes.set(rest.join("\t"), Number(kilobytes) * 1_024);
    }
  }
  return sizes;
}

async function resolveRoot(root: string): Promise<string> {
  const real = await realpath(root);
  if (!(await lstat(root)).isDirectory()) throw deletionRefused(root, "it is not a folder");
  return real;
}

/** Asserts that the folder of `path`, with every link resolved, is the root or below it. The last part of `path` may be a link. */
async function assertBelow(real: string, path: string): Promise<void> {
  const name = basename(path);
  const parent = await realpath(dirname(path));
  const isInside = parent === real || parent.startsWith(real + sep);
  if (!isInside || name === "" || name === "." || name === ".." || name === TRASH) {
    throw deletionRefused(path, `it is not below ${real}`);
  }
}

async function tryLstat(path: string) {
  return lstat(path).catch(() => undefined);
}

function deletionRefused(path: string, why: string): FleetError {
  return new FleetError("workspace-refused", `${path} is not deleted: ${why}.`, { path });
}
