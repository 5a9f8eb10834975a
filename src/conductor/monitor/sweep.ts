/** The monitor: it gathers facts, decides, and acts in one transaction per decision. An error of one task affects no other. */
import { StaleVersionError } from "../../domain/errors.ts";
import { decideTask } from "../../domain/monitor/decide-task.ts";
import { isTerminal, type Task, type TaskStatus } from "../../domain/task/task.ts";
import { listLiveTasks } from "../../store/tasks.ts";
import { applyDecision } from "./act.ts";
import { gatherFacts, type TaskObservation } from "../tasks/facts.ts";
import type { Fleet } from "../fleet.ts";
import { offerSlots } from "../tasks/slots.ts";

/** A decision may enable the next one (pull request → checks → review); more than this many in one sweep would be a bug. */
const MAX_STEPS = 6;
export interface SweepResult {
  readonly checked: number;
  readonly acted: number;
  readonly errors: number;
}

/** One sweep over a shard of the live tasks; undefined when another worker is sweeping it. */
export async function sweepShard(fleet: Fleet, shard: { shard: number; of: number }): Promise<SweepResult | undefined> {
  return fleet.store.tryWithLock(`sweep/${shard.shard}/${shard.of}`, async () => {
    const tasks = await fleet.store.asSystem((tx) => listLiveTasks(tx, shard));
    return superviseTasks(fleet, tasks);
  });
}

/** Acts on these tasks until no further decision follows from the facts. */
export async function superviseTasks(fleet: Fleet, tasks: readonly Task[]): Promise<SweepResult> {
  let open = tasks;
  let acted = 0;
  let errors = 0;
  let freed = false;
  const before = new Map(tasks.map(({ id, status }) => [id, status]));
  for (let step = 0; step < MAX_STEPS && open.length > 0; step += 1) {
    const known = await gatherFacts(fleet, open);
    const moved: Task[] = [];
    for (const task of open) {
      try {
        const after = await superviseOne(fleet, task, known.get(task.id));
        if (after) moved.push(after);
      } catch (error) {
        if (error instanceof StaleVersionError) continue;
        errors += 1;
        fleet.log.warn(
          { event: "monitor.skipped", taskId: task.id, error: String(error) },
          "task could not be checked",
        );
      }
    }
    acted += moved.length;
    freed ||= moved.some(({ id, status }) => !holdsHost(status) && holdsHost(before.get(id)));
    open = moved.filter((task) => !isTerminal(task.status));
  }
  if (freed) await offerSlots(fleet);
  return { checked: tasks.length, acted, errors };
}

function holdsHost(status: TaskStatus | undefined): boolean {
  return status === "spawning" || status === "running";
}

/** The task after acting on its decisions; undefined when nothing was done. */
async function superviseOne(fleet: Fleet, task: Task, known: TaskObservation | undefined): Promise<Task | undefined> {
  if (!known) return undefined;
  const decisions = decideTask(task, known.facts, fleet.settings, fleet.clock());
  let after: Task | undefined;
  for (const decision of decisions)
    after = (await applyDecision({ fleet, task: after ?? task, observed: known }, decision)) ?? after;
  return after;
}
