/** POST /tasks/:task/…, DELETE /tasks/:task: what the owner of a task may do to it. */
import { removeTask } from "../../conductor/tasks/remove.ts";
import { stopTask } from "../../conductor/tasks/stop.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { mergeTask, rejectTask } from "../../conductor/delivery/merge.ts";
import { retryNow } from "../../conductor/attempts/retry.ts";
import { MergedView, Reason, Rejection, Removed, TaskView, viewTask } from "../../views/task.ts";
import { defineRoute } from "../route.ts";
import { ownTask } from "./params.ts";

const ownerPost = { method: "post", tier: "builder", params: ownTask } as const;

export const stopRoute = defineRoute(
  {
    ...ownerPost,
    path: "/api/fleet/tasks/:task/stop",
    summary: "Stop a task: it is cancelled and its agent is ended",
    body: Reason,
    reply: TaskView,
    errors: ["invalid-transition", "stale-version"],
  },
  async (fleet: Fleet, { operator, params: { task }, body }) => ({
    body: viewTask(await stopTask(fleet, operator, task, body.reason)),
  }),
);

export const retryRoute = defineRoute(
  {
    ...ownerPost,
    path: "/api/fleet/tasks/:task/retry",
    summary: "Retry a failed or rejected task now",
    body: Reason,
    reply: TaskView,
    errors: ["invalid-transition", "stale-version", "product-stopped", "stopped"],
  },
  async (fleet: Fleet, { operator, params: { task } }) => ({ body: viewTask(await retryNow(fleet, task, operator)) }),
);

export const mergeRoute = defineRoute(
  {
    ...ownerPost,
    path: "/api/fleet/tasks/:task/merge",
    summary: "Merge the pull request of a ready task",
    body: Reason,
    reply: MergedView,
    errors: ["invalid-transition", "stale-version"],
  },
  async (fleet: Fleet, { operator, params }) => {
    const { task, pullCommand } = await mergeTask(fleet, operator, params.task);
    return { body: { ...viewTask(task), bringHome: pullCommand ?? null } };
  },
);

export const rejectRoute = defineRoute(
  {
    ...ownerPost,
    path: "/api/fleet/tasks/:task/reject",
    summary: "Reject a ready task; the next attempt gets your comment",
    body: Rejection,
    reply: TaskView,
    errors: ["invalid-transition", "stale-version"],
  },
  async (fleet: Fleet, { operator, params: { task }, body }) => ({
    body: viewTask(await rejectTask(fleet, operator, task, body.comment)),
  }),
);

export const removeRoute = defineRoute(
  {
    method: "delete",
    path: "/api/fleet/tasks/:task",
    tier: "builder",
    summary: "Remove a task that is over, with its working copy and its branch",
    params: ownTask,
    reply: Removed,
    errors: ["invalid-transition"],
  },
  async (fleet: Fleet, { operator, params: { task } }) => {
    const cleaned = await removeTask(fleet, operator, task);
    const removed = [cleaned?.removedPath, cleaned?.deletedBranch].filter((what) => typeof what === "string");
    const { snapshot } = cleaned ?? {};
    return {
      body: { id: task.id, removed, snapshot: snapshot?.dir ?? null, restore: snapshot?.restoreCommand ?? null },
    };
  },
);
