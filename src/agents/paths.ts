/** Where the things of an agent are, under one FLEET_HOME. Nothing here looks at the disk. */
import { join } from "node:path";
import { shortId } from "../domain/task/task.ts";

export function workspaceRoot(home: string): string {
  return join(home, "workspaces");
}

/** What we know about a workspace stands beside it, not in it: the agent cannot change it by accident. */
export function workspaceRecordPath(home: string, taskId: string): string {
  return join(workspaceRoot(home), ".state", `${shortId(taskId)}.json`);
}

export function trashRoot(home: string): string {
  return join(workspaceRoot(home), ".trash");
}

/** What could neither be used nor be saved for certain: kept for a human. */
export function preservedRoot(home: string): string {
  return join(workspaceRoot(home), ".kept");
}

export function snapshotRoot(home: string): string {
  return join(home, "snapshots");
}

export function portRoot(home: string): string {
  return join(home, "ports");
}

export function cacheRoot(home: string): string {
  return join(home, "cache");
}

/** What belongs to the Unix user of a tenant, and to nobody else. */
export function userRoot(home: string, user: string): string {
  return join(home, "users", user);
}

export function attemptRoot(home: string): string {
  return join(home, "attempts");
}

export function attemptDir(home: string, taskId: string, attempt: number): string {
  return join(attemptRoot(home), taskId, String(attempt));
}
