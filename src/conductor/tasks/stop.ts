/** Stopping a task: cancelled from wherever that is allowed, its agent ended by its host. */
import { hostQueue } from "../../../queues/host.ts";
import { InvalidTransitionError, StaleVersionError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { isTerminal, VALID_TRANSITIONS, type Task } from "../../domain/task/task.ts";
import { createHint } from "../../store/outbox.ts";
import { getTask } from "../../store/tasks.ts";
import type { Fleet } from "../fleet.ts";
import { applyTransition } from "./transition.ts";

/** A stop must win against work that goes on meanwhile, so it reads again when it loses a race. */
const MAX_TRIES = 10;

/** To `cancelled`, from wherever that is allowed; a second stop of a cancelled task is fine. Its agent is ended by its host. */
export async function stopTask(fleet: Fleet, by: Operator, task: Task, reason?: string): Promise<Task> {
  let current = task;
  for (let tries = 1; ; tries += 1) {
    if (current.status === "cancelled") return current;
    if (isTerminal(current.status)) {
      throw new InvalidTransitionError(task.id, current.status, "cancelled", VALID_TRANSITIONS[current.status]);
    }
    try {
      const { host } = current;
      return await applyTransition(fleet, {
        task: current,
        to: "cancelled",
        actor: by.id,
        action: "task.cancelled",
        message: reason ?? `stopped by ${by.id}`,
        patch: { condition: "ok", conditionDetail: null },
        // At once rather than at the host's next tick; should it be lost, the tick does it.
        ...(host ? { hints: (epoch) => [createHint(hostQueue(host), { taskId: task.id, epoch, act: "stop" })] } : {}),
      });
    } catch (error) {
      if (!(error instanceof StaleVersionError) || tries >= MAX_TRIES) throw error;
      current = await fleet.store.asSystem((tx) => getTask(tx, task.id));
    }
  }
}
