/** The record that is written when a workspace is ready. Without it, no agent ever ran in the workspace. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { UnixUser } from "../../command/unix-user.ts";
import { parseJson } from "../../domain/text/json.ts";
import { workspaceRecordPath, workspaceRoot } from "../paths.ts";

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
  /** The fingerprint of the lock files whose dependencies are installed. */
  installed: z.string().optional(),
  /** The owner of the files, if it is not the worker's user. */
  unixUser: UnixUser.optional(),
});
export type WorkspaceRecord = z.infer<typeof WorkspaceRecord>;

export async function readWorkspaceRecord(home: string, taskId: string): Promise<WorkspaceRecord | undefined> {
  const text = await readFile(workspaceRecordPath(home, taskId), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const parsed = WorkspaceRecord.safeParse(parseJson(text));
  return parsed.success && parsed.data.taskId === taskId ? parsed.data : undefined;
}

/** Lists the records of all completed workspaces on this host. */
export async function listWorkspaceRecords(home: string): Promise<WorkspaceRecord[]> {
  const folder = join(workspaceRoot(home), ".state");
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".json"));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8").catch(() => "")));
  return texts.flatMap((text) => WorkspaceRecord.safeParse(parseJson(text)).data ?? []);
}

export async function writeWorkspaceRecord(home: string, record: WorkspaceRecord): Promise<void> {
  const path = workspaceRecordPath(home, record.taskId);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

export async function deleteWorkspaceRecord(home: string, taskId: string): Promise<void> {
  await rm(workspaceRecordPath(home, taskId), { force: true });
}
