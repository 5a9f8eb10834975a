/** Removing a task that ended: from listings, and its working copy from disk. */
import type { CleanupResult } from "../../agents/cleanup/cleanup.ts";
import { InvalidTransitionError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { isTerminal, type Task } from "../../domain/task/task.ts";
import { getTask, markTaskRemoved } from "../../store/tasks.ts";
import type { Fleet } from "../fleet.ts";
import { cleanUpLock, cleanUpTask } from "./clean-up.ts";
import { retryOnStale } from "./retry-stale.ts";
import { applyTransition } from "./transition.ts";

/** Hides an ended task from listings. On its own host, the working copy is removed after unsaved work is saved. */
export async function removeTask(
  fleet: Fleet,
  by: Operator,
  { id, status, host }: Task,
): Promise<CleanupResult | undefined> {
  if (!isTerminal(status)) throw new InvalidTransitionError(id, status, "removed", ["stop it first: fleet stop"]);
  // While the host's own clean-up holds the lock, it does what is wanted here.
  const cleanUp = () =>
    fleet.store.tryWithLock(cleanUpLock(id), async (tx) => cleanUpTask(fleet, await getTask(tx, id)));
  const cleaned = host === fleet.host.id ? await cleanUp() : undefined;
  await retryOnStale(fleet, id, (task) => applyTransition(fleet, { task, actor: by.id, action: "task.removed" }));
  await fleet.store.asSystem((tx) => markTaskRemoved(tx, id));
  return cleaned;
}
