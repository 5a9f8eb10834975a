/** Pushes: recorded on the on_push schedule of a product. A merge by the fleet is a push too. */
import { plannerQueue } from "../../../queues/planner.ts";
import type { Operator } from "../../domain/operator.ts";
import type { Product } from "../../domain/product.ts";
import type { Task } from "../../domain/task/task.ts";
import { auditBy } from "../../store/operators.ts";
import { createHint, insertHints } from "../../store/outbox.ts";
import { listSchedules, recordPush, type ScheduleKey } from "../../store/schedules.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import { isLocatedAt, productsOf } from "../products/find.ts";
import { ensureSystemOperator } from "../scope.ts";

interface Push {
  readonly by: Operator;
  readonly key: ScheduleKey;
  readonly sha: string | undefined;
}

export async function recordPushBy(fleet: Fleet, tx: Tx, { by, key, sha }: Push): Promise<void> {
  await recordPush(tx, key, fleet.clock());
  await auditBy(tx, by, "schedule.pushed", { schedule: key.id, sha: sha ?? null });
}

/** A worker then runs the schedules. A failure is only logged: the merge is done, and must not be reported as failed. */
export async function recordMergeAsPush(fleet: Fleet, task: Task, sha: string): Promise<void> {
  try {
    for (const { id } of await productsOnPush(fleet, task)) {
      const key = { tenantId: task.tenantId, id };
      const by = await ensureSystemOperator(fleet, task.tenantId);
      const job = { kind: "schedule", tenantId: key.tenantId, scheduleId: id, pushId: fleet.newId() } as const;
      await fleet.store.asSystem(async (tx) => {
        await recordPushBy(fleet, tx, { by, key, sha });
        await insertHints(tx, { tenantId: by.tenantId, operatorId: by.id }, [createHint(plannerQueue, job)]);
      });
    }
    fleet.kickRelay();
  } catch (error) {
    const facts = { event: "merge.push-failed", taskId: task.id, error: String(error) };
    fleet.log.warn(facts, "merge could not be recorded as a push");
  }
}

/** Products with an on_push schedule whose base branch the task was merged into. */
async function productsOnPush(fleet: Fleet, { tenantId, repository, baseBranch }: Task): Promise<Product[]> {
  const schedules = await fleet.store.asSystem((tx) => listSchedules(tx, tenantId));
  const onPush = new Set(schedules.filter(({ cadence }) => cadence === "on_push").map(({ productId }) => productId));
  const found: Product[] = [];
  for (const product of productsOf(fleet, tenantId)) {
    const isMergedInto = onPush.has(product.id) && product.baseBranch === baseBranch;
    if (isMergedInto && (await isLocatedAt(fleet, product, repository))) found.push(product);
  }
  return found;
}
