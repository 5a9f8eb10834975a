/** fleet_tasks that a kill switch affects: paused tasks, tasks whose switch was released, tasks to stop. Worker role. */
import { z } from "zod";
import type { EstopTarget } from "../domain/task/kill-switch.ts";
import { Task } from "../domain/task/task.ts";
import type { Tx } from "./sql.ts";
import { taskColumns } from "./tasks.ts";

/** Whether a kill switch is on, or a task still paused by one. */
export async function hasActiveStops(tx: Tx): Promise<boolean> {
  const row = await tx.one(z.object({ any: z.boolean() }))`
    select exists (select from kill_switches) or exists (select from fleet_tasks where condition = 'paused') as any`;
  return row.any;
}

export async function listPausedTasksOnHost(tx: Tx, host: string): Promise<Task[]> {
  return tx.many(Task)`
    select ${taskColumns} from fleet_tasks t
    where t.condition = 'paused' and t.host = ${host} and t.status in ('spawning', 'running', 'pr_created', 'reviewing')`;
}

/**
 * Lists tasks whose switch was released or replaced and that no live host takes care of. Tasks that fleet.yaml holds are listed
 * each time, because no row records that switch.
 */
export async function listOrphanedPauses(tx: Tx, alive: readonly string[], limit: number): Promise<Task[]> {
  return tx.many(Task)`
    select ${taskColumns} from fleet_tasks t
    where t.condition = 'paused' and t.condition_detail ? 'estop'
      and (t.host is null or t.status not in ('spawning', 'running', 'pr_created', 'reviewing') or t.host <> all(${alive}))
      and not exists (select from kill_switches k
        where k.tenant_id in (t.tenant_id, '*') and k.scope = t.condition_detail #>> '{estop,scope}'
          and k.subject = t.condition_detail #>> '{estop,subject}' and k.mode = t.condition_detail #>> '{estop,mode}')
    order by t.condition_since, t.id limit ${limit}`;
}

/** Lists the tasks that these switches name, and those with a possibly running agent in their tenants. */
export async function listAbortableTasks(tx: Tx, aborts: readonly EstopTarget[], limit: number): Promise<Task[]> {
  const named = aborts.flatMap(({ scope, subject }) => (scope === "agent" ? [subject] : []));
  const tenants = aborts.flatMap(({ scope, tenantId }) => (scope === "agent" ? [] : [tenantId]));
  return tx.many(Task)`
    select ${taskColumns} from fleet_tasks t
    where t.id = any(${named}::uuid[]) or (t.status in ('spawning', 'running', 'pr_created', 'reviewing')
      and ('*' = any(${tenants}) or t.tenant_id = any(${tenants})))
    order by t.created_at limit ${limit}`;
}
