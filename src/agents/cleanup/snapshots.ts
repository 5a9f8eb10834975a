/** The snapshots of this machine, as a person looks for them: listed by name, restored into a new folder. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "../../domain/errors.ts";
import { shownUrl } from "../../git/repository-url.ts";
import { snapshotRoot } from "../paths.ts";
import { findSnapshots } from "./leftovers.ts";
import { readManifest, restoreSnapshot, type SnapshotManifest } from "../workspace/snapshot.ts";
import { sizesOf } from "./trash.ts";

export interface SavedWork {
  readonly name: string;
  readonly takenAt: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly repositoryUrl: string;
  readonly branch: string;
  readonly head: string;
  readonly commits: boolean;
  readonly changes: boolean;
  readonly untracked: number;
  readonly bytes: number;
  readonly restoreCommand: string;
}

/** Newest first; a folder without a manifest is no snapshot. */
export async function listSnapshots(home: string): Promise<SavedWork[]> {
  const folders = await findSnapshots(home);
  const sizes = await sizesOf(folders.map(({ path }) => path));
  const found = await Promise.all(
    folders.map(async ({ name, path, changedAt }) => {
      const manifest = await readManifest(path).catch(() => undefined);
      return manifest && viewOf(name, manifest, { changedAt, bytes: sizes.get(path) ?? 0 });
    }),
  );
  return found.flatMap((one) => one ?? []).toSorted((a, b) => (a.takenAt < b.takenAt ? 1 : -1));
}

/** Throws "not-found" for a name that is none, and refuses a folder that exists. */
export async function restoreNamed(home: string, name: string, into: string): Promise<SavedWork> {
  const saved = (await listSnapshots(home)).find((one) => one.name === name);
  if (!saved) throw new FleetError("not-found", `There is no snapshot ${name}. See them: fleet snapshots`);
  if (await stat(into).catch(() => undefined)) throw new FleetError("workspace-refused", `${into} exists already.`);
  await restoreSnapshot(join(snapshotRoot(home), name), into);
  return saved;
}

function viewOf(
  name: string,
  { taskId, attempt, repositoryUrl, branch, head, parts, restoreCommand }: SnapshotManifest,
  { changedAt, bytes }: { readonly changedAt: Date; readonly bytes: number },
): SavedWork {
  const { bundle: commits, patch: changes, untracked } = parts;
  const from = { taskId, attempt, repositoryUrl: shownUrl(repositoryUrl), branch, head };
  return { name, takenAt: changedAt.toISOString(), ...from, commits, changes, untracked, bytes, restoreCommand };
}
