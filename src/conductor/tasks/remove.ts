/** What an operator does to a task of their own: remove it. Stopping, retrying, merging and rejecting have files of their own. */
import { InvalidTransitionError, StaleVersionError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { isTerminal, type Task } from "../../domain/task/task.ts";
import type { CleanupResult } from "../../agents/cleanup/cleanup.ts";
import { getTask, markTaskRemoved } from "../../store/tasks.ts";
import type { Fleet } from "../fleet.ts";
import { applyTransition } from "./transition.ts";
import { cleanUpLock, cleanUpTask } from "./clean-up.ts";

/** A removal must win against work that goes on meanwhile, so it reads again when it loses a race. */
const MAX_TRIES = 10;

/** Removes an ended task from sight, and its working copy from disk after saving what is not elsewhere. */
export async function removeTask(fleet: Fleet, by: Operator, task: Task): Promise<CleanupResult | undefined> {
  if (!isTerminal(task.status)) {
    throw new InvalidTransitionError(task.id, task.status, "removed", ["stop it first: fleet stop"]);
  }
  // Its host may be at it already; then what it does is what was wanted.
  const cleaned =
    task.host === fleet.host.id
      ? await fleet.store.tryWithLock(cleanUpLock(task.id), async (tx) =>
          cleanUpTask(fleet, await getTask(tx, task.id)),
        )
      : undefined;
  for (let tries = 1; ; tries += 1) {
    const fresh = await fleet.store.asSystem((tx) => getTask(tx, task.id));
    try {
      await applyTransition(fleet, { task: fresh, actor: by.id, action: "task.removed" });
      break;
    } catch (error) {
      if (!(error instanceof StaleVersionError) || tries >= MAX_TRIES) throw error;
    }
  }
  await fleet.store.asSystem((tx) => markTaskRemoved(tx, task.id));
  return cleaned;
}
