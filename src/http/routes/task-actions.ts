/** POST /tasks/:task/…, DELETE /tasks/:task: what an owner does to a task. */
import { removeTask } from "../../conductor/tasks/remove.ts";
import { stopTask } from "../../conductor/tasks/stop.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { mergeTask, rejectTask } from "../../conductor/delivery/merge.ts";
import { retryNow } from "../../conductor/attempts/retry.ts";
import { getOwnTask } from "../../conductor/tasks/find.ts";
import { MergedView, Reason, Rejection, Removed, TaskView, viewTask } from "../../views/task.ts";
import { defineRoute, type RouteSpec } from "../route.ts";
import { TaskParams } from "./params.ts";

function taskAction<Path extends string>(path: Path, summary: string) {
  return {
    method: "post",
    path: `/api/fleet/tasks/:task/${path}`,
    tier: "builder",
    owner: true,
    summary,
    params: TaskParams,
    errors: ["task-not-found", "not-owner", "invalid-transition", "stale-version"],
  } as const satisfies Omit<RouteSpec, "reply">;
}

export const stopRoute = defineRoute(
  { ...taskAction("stop", "Stop a task: cancelled, its agent ended"), body: Reason, reply: TaskView },
  async (fleet: Fleet, { operator, params, body }) => {
    const task = await getOwnTask(fleet, operator, params.task);
    return { body: viewTask(await stopTask(fleet, operator, task, body.reason)) };
  },
);

export const retryRoute = defineRoute(
  {
    ...taskAction("retry", "Retry a failed or rejected task now"),
    body: Reason,
    reply: TaskView,
    errors: ["task-not-found", "not-owner", "invalid-transition", "stale-version", "product-stopped", "stopped"],
  },
  async (fleet: Fleet, { operator, params }) => {
    const task = await getOwnTask(fleet, operator, params.task);
    return { body: viewTask(await retryNow(fleet, task, operator)) };
  },
);

export const mergeRoute = defineRoute(
  { ...taskAction("merge", "Merge a ready task's pull request"), body: Reason, reply: MergedView },
  async (fleet: Fleet, { operator, params }) => {
    const task = await getOwnTask(fleet, operator, params.task);
    const { task: merged, pullCommand } = await mergeTask(fleet, operator, task);
    return { body: { ...viewTask(merged), bringHome: pullCommand ?? null } };
  },
);

export const rejectRoute = defineRoute(
  {
    ...taskAction("reject", "Reject a ready task: the next attempt is told your comment"),
    body: Rejection,
    reply: TaskView,
  },
  async (fleet: Fleet, { operator, params, body }) => {
    const task = await getOwnTask(fleet, operator, params.task);
    return { body: viewTask(await rejectTask(fleet, operator, task, body.comment)) };
  },
);

export const removeRoute = defineRoute(
  {
    method: "delete",
    path: "/api/fleet/tasks/:task",
    tier: "builder",
    owner: true,
    summary: "Remove a task that is over, and clean up after it",
    params: TaskParams,
    reply: Removed,
    errors: ["task-not-found", "not-owner", "invalid-transition"],
  },
  async (fleet: Fleet, { operator, params }) => {
    const task = await getOwnTask(fleet, operator, params.task);
    const cleaned = await removeTask(fleet, operator, task);
    const removed = [cleaned?.removedPath, cleaned?.deletedBranch].filter((what) => typeof what === "string");
    const { snapshot } = cleaned ?? {};
    return {
      body: { id: task.id, removed, snapshot: snapshot?.dir ?? null, restore: snapshot?.restoreCommand ?? null },
    };
  },
);
