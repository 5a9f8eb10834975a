/** Stopping a task: it is cancelled from any status that allows it, and its host ends the agent. */
import { hostQueue } from "../../../queues/host.ts";
import { InvalidTransitionError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { isTerminal, VALID_TRANSITIONS, type Task } from "../../domain/task/task.ts";
import { createHint } from "../../store/outbox.ts";
import type { Fleet } from "../fleet.ts";
import { retryOnStale } from "./retry-stale.ts";
import { applyTransition } from "./transition.ts";

/** Stopping a cancelled task again changes nothing. Throws InvalidTransitionError when the task ended in another way. */
export async function stopTask(fleet: Fleet, by: Operator, { id }: Task, reason?: string): Promise<Task> {
  return retryOnStale(fleet, id, async (task) => {
    const { status, host } = task;
    if (status === "cancelled") return task;
    if (isTerminal(status)) throw new InvalidTransitionError(id, status, "cancelled", VALID_TRANSITIONS[status]);
    return applyTransition(fleet, {
      task,
      to: "cancelled",
      actor: by.id,
      action: "task.cancelled",
      message: reason ?? `stopped by ${by.id}`,
      patch: { condition: "ok", conditionDetail: null },
      // The job is faster than the host's next tick, which stops the agent if the job is lost.
      ...(host ? { hints: (epoch) => [createHint(hostQueue(host), { taskId: id, epoch, act: "stop" })] } : {}),
    });
  });
}
