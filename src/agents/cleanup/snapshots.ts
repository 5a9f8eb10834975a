/** The snapshots of this machine for people: list them by name, and restore one into a new folder. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "../../domain/errors.ts";
import { redactUrl } from "../../domain/text/redact-url.ts";
import { snapshotRoot } from "../paths.ts";
import { findSnapshots } from "./leftovers.ts";
import { readManifest, restoreSnapshot, type SnapshotManifest } from "../workspace/snapshot.ts";
import { measureSizes } from "./trash.ts";

export interface SnapshotInfo {
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

/** Lists the snapshots, newest first. A folder without a manifest is not a snapshot. */
export async function listSnapshots(home: string): Promise<SnapshotInfo[]> {
  const folders = await findSnapshots(home);
  const sizes = await measureSizes(folders.map(({ path }) => path));
  const found = await Promise.all(
    folders.map(async ({ name, path, changedAt }) => {
      const manifest = await readManifest(path).catch(() => undefined);
      return manifest && toSnapshotInfo(name, manifest, { changedAt, bytes: sizes.get(path) ?? 0 });
    }),
  );
  return found.flatMap((one) => one ?? []).toSorted((a, b) => (a.takenAt < b.takenAt ? 1 : -1));
}

/** Throws "not-found" for an unknown name, and refuses an existing target folder. */
export async function restoreSnapshotByName(home: string, name: string, into: string): Promise<SnapshotInfo> {
  const snapshot = (await listSnapshots(home)).find((one) => one.name === name);
  if (!snapshot) throw new FleetError("not-found", `Snapshot ${name} not found. List them with: fleet snapshots`);
  if (await stat(into).catch(() => undefined)) throw new FleetError("workspace-refused", `${into} already exists.`);
  await restoreSnapshot(join(snapshotRoot(home), name), into);
  return snapshot;
}

function toSnapshotInfo(
  name: string,
  { taskId, attempt, repositoryUrl, branch, head, parts, restoreCommand }: SnapshotManifest,
  { changedAt, bytes }: { readonly changedAt: Date; readonly bytes: number },
): SnapshotInfo {
  const { bundle: commits, patch: changes, untracked } = parts;
  const from = { taskId, attempt, repositoryUrl: redactUrl(repositoryUrl), branch, head };
  return { name, takenAt: changedAt.toISOString(), ...from, commits, changes, untracked, bytes, restoreCommand };
}
