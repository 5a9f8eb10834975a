/** The paths of agents' files under FLEET_HOME. Nothing here accesses the disk. */
import { join } from "node:path";
import { shortId } from "../domain/task/task.ts";

export function workspaceRoot(home: string): string {
  return join(home, "workspaces");
}

/** The record of a workspace is stored outside of it, so that the agent cannot change it by accident. */
export function workspaceRecordPath(home: string, taskId: string): string {
  return join(workspaceRoot(home), ".state", `${shortId(taskId)}.json`);
}

export function trashRoot(home: string): string {
  return join(workspaceRoot(home), ".trash");
}

/** Workspaces that could neither be used nor safely saved are moved here for a person to inspect. */
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

/** The private folder of a tenant's Unix user. */
export function userRoot(home: string, user: string): string {
  return join(home, "users", user);
}

export function attemptRoot(home: string): string {
  return join(home, "attempts");
}

export function attemptDir(home: string, taskId: string, attempt: number): string {
  return join(attemptRoot(home), taskId, String(attempt));
}
