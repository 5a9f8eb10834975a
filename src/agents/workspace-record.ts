/** What Fleetwright wrote down when a workspace was ready. Without this record no agent ever ran in it. */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { workspaceRecordPath } from "./places.ts";

export const WorkspaceRecord = z.object({
  taskId: z.string(),
  attempt: z.int(),
  repositoryUrl: z.string(),
  branch: z.string(),
  baseBranch: z.string(),
  kind: z.enum(["worktree", "clone"]),
  path: z.string(),
  startSha: z.string(),
  baseSha: z.string(),
  portBase: z.int(),
  /** Fingerprint of the lock files whose dependencies are installed. */
  installed: z.string().optional(),
});
export type WorkspaceRecord = z.infer<typeof WorkspaceRecord>;

export async function readWorkspaceRecord(home: string, taskId: string): Promise<WorkspaceRecord | undefined> {
  const text = await readFile(workspaceRecordPath(home, taskId), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const parsed = WorkspaceRecord.safeParse(parseJson(text));
  return parsed.success && parsed.data.taskId === taskId ? parsed.data : undefined;
}

export async function writeWorkspaceRecord(home: string, record: WorkspaceRecord): Promise<void> {
  const path = workspaceRecordPath(home, record.taskId);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

export async function forgetWorkspaceRecord(home: string, taskId: string): Promise<void> {
  await rm(workspaceRecordPath(home, taskId), { force: true });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
