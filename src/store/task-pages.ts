/** Lists tasks page by page, newest first, at a cost that does not grow with the number of tasks. */
import { z } from "zod";
import { Task } from "../domain/task/task.ts";
import { nextPageCursor, cursorColumn, cursorShape } from "./keyset.ts";
import { sql, type Sql, type Tx } from "./sql.ts";
import { listTasks, taskConditions, taskColumns, type TaskFilter } from "./tasks.ts";

export interface TaskSearch extends TaskFilter {
  readonly host?: string | undefined;
  readonly agentType?: string | undefined;
  readonly taskType?: string | undefined;
  /** Text within title or description. */
  readonly text?: string | undefined;
}

export interface TaskPage {
  readonly tasks: readonly Task[];
  /** The cursor of the next page; undefined when there is none. A page may be short, or empty, and still have a next one. */
  readonly next: { readonly at: string; readonly id: string } | undefined;
}

/**
 * How many tasks one page scans for conditions without an index (host, agent, type, text); the next page continues there.
 * Every transition would write an index for each, and row security lets none serve a text search.
 */
export const MAX_SCANNED_TASKS = 2_000;

export async function listTaskPage(tx: Tx, filter: TaskSearch): Promise<TaskPage> {
  const wanted = scanConditions(filter);
  if (wanted) return scanTasks(tx, filter, wanted);
  const rows = await listTasks(tx, { ...filter, limit: filter.limit + 1 });
  return { tasks: rows.slice(0, filter.limit), next: nextPageCursor(rows, filter.limit) };
}

/** The conditions that no index serves; undefined when there are none. */
function scanConditions({ host, agentType, taskType, text }: TaskSearch): Sql | undefined {
  const conditions: Sql[] = [];
  if (host) conditions.push(sql`t.host = ${host}`);
  if (agentType) conditions.push(sql`t.agent_type = ${agentType}`);
  if (taskType) conditions.push(sql`t.task_type = ${taskType}`);
  if (text) conditions.push(sql`position(lower(${text}) in lower(t.title || ' ' || t.description)) > 0`);
  const [first, ...rest] = conditions;
  return first && rest.reduce((all, condition) => sql`${all} and ${condition}`, first);
}

const ScannedTask = z.object({ id: z.uuid(), ...cursorShape, fits: z.boolean(), nth: z.int() });

async function scanTasks(tx: Tx, filter: TaskFilter, wanted: Sql): Promise<TaskPage> {
  // Of the rows that do not match, only the last one is returned: the next page continues there.
  const scanned = await tx.many(ScannedTask)`
    with scanned as materialized (
      select t.id, t.created_at, coalesce(${wanted}, false) as fits, (row_number() over (order by t.created_at desc, t.id desc))::int as nth
      from (
        select * from fleet_tasks t where ${taskConditions(filter)} order by t.created_at desc, t.id desc limit ${MAX_SCANNED_TASKS}
      ) t
    )
    select id, ${cursorColumn(sql`created_at`)}, fits, nth from scanned where fits or nth = ${MAX_SCANNED_TASKS} order by nth limit ${filter.limit + 1}`;
  const fitting = scanned.filter(({ fits }) => fits);
  const page = fitting.slice(0, filter.limit);
  const ids = page.map(({ id }) => id);
  const tasks =
    ids.length === 0
      ? []
      : await tx.many(Task)`
          select ${taskColumns} from fleet_tasks t where t.id = any(${ids}::uuid[]) order by t.created_at desc, t.id desc`;
  const next = nextPageCursor(fitting, filter.limit);
  if (next) return { tasks, next };
  const last = scanned.at(-1);
  return { tasks, next: last?.nth === MAX_SCANNED_TASKS ? { at: last.place, id: last.id } : undefined };
}
