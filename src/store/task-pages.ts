/** Listings of tasks page by page, newest first, at a cost that does not grow with the years. */
import { z } from "zod";
import { Task } from "../domain/task/task.ts";
import { nextPlace, placeOf, Placed } from "./keyset.ts";
import { sql, type Sql, type Tx } from "./sql.ts";
import { listTasks, narrowed, taskColumns, type TaskFilter } from "./tasks.ts";

export interface TaskSearch extends TaskFilter {
  readonly host?: string | undefined;
  readonly agentType?: string | undefined;
  readonly taskType?: string | undefined;
  /** Stands in title or description. */
  readonly text?: string | undefined;
}

export interface TaskPage {
  readonly tasks: readonly Task[];
  /** Where the next page goes on; undefined when there is none. A page may be short, or empty, and still have a next one. */
  readonly next: { readonly at: string; readonly id: string } | undefined;
}

/**
 * What no index serves (host, agent, type, words) is looked for among so many of the newest; the next page looks further.
 * An index for each would be written by every transition, and row security lets none serve a search for words.
 */
export const MOST_LOOKED_AT = 2_000;

export async function pageOfTasks(tx: Tx, filter: TaskSearch): Promise<TaskPage> {
  const wanted = soughtIn(filter);
  if (wanted) return lookThrough(tx, filter, wanted);
  const rows = await listTasks(tx, { ...filter, limit: filter.limit + 1 });
  return { tasks: rows.slice(0, filter.limit), next: nextPlace(rows, filter.limit) };
}

/** The conditions that are judged row by row; undefined when there are none. */
function soughtIn({ host, agentType, taskType, text }: TaskSearch): Sql | undefined {
  const conditions: Sql[] = [];
  if (host) conditions.push(sql`t.host = ${host}`);
  if (agentType) conditions.push(sql`t.agent_type = ${agentType}`);
  if (taskType) conditions.push(sql`t.task_type = ${taskType}`);
  if (text) conditions.push(sql`position(lower(${text}) in lower(t.title || ' ' || t.description)) > 0`);
  const [first, ...rest] = conditions;
  return first && rest.reduce((all, condition) => sql`${all} and ${condition}`, first);
}

const Looked = z.object({ id: z.uuid(), ...Placed, fits: z.boolean(), nth: z.int() });

async function lookThrough(tx: Tx, filter: TaskFilter, wanted: Sql): Promise<TaskPage> {
  // Of those that do not fit only the last one is told: where the next page goes on.
  const looked = await tx.many(Looked)`
    with looked as materialized (
      select t.id, t.created_at, coalesce(${wanted}, false) as fits, (row_number() over (order by t.created_at desc, t.id desc))::int as nth
      from (
        select * from fleet_tasks t where ${narrowed(filter)} order by t.created_at desc, t.id desc limit ${MOST_LOOKED_AT}
      ) t
    )
    select id, ${placeOf(sql`created_at`)}, fits, nth from looked where fits or nth = ${MOST_LOOKED_AT} order by nth limit ${filter.limit + 1}`;
  const fitting = looked.filter(({ fits }) => fits);
  const page = fitting.slice(0, filter.limit);
  const ids = page.map(({ id }) => id);
  const tasks =
    ids.length === 0
      ? []
      : await tx.many(Task)`
          select ${taskColumns} from fleet_tasks t where t.id = any(${ids}::uuid[]) order by t.created_at desc, t.id desc`;
  const next = nextPlace(fitting, filter.limit);
  if (next) return { tasks, next };
  const last = looked.at(-1);
  return { tasks, next: last?.nth === MOST_LOOKED_AT ? { at: last.place, id: last.id } : undefined };
}
