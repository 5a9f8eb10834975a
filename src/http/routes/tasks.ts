/** GET /status, /tasks and /tasks/:task: reading tasks. */
import { z } from "zod";
import { listEstops } from "../../conductor/attempts/estop.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { countTasksFor, listTasksFor, positionsOf } from "../../conductor/tasks/find.ts";
import { AgentType, TaskStatus, TaskType, TERMINAL_STATUSES } from "../../domain/task/task.ts";
import { Stops, viewEstops } from "../../views/estop.ts";
import { PageQuery, pageOf, viewPage } from "../../views/page.ts";
import { TaskDetailView, viewTaskDetail } from "../../views/task-details.ts";
import { TaskView, viewTask } from "../../views/task.ts";
import { defineRoute } from "../route.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import { AllTenants, visibleTask } from "./params.ts";

export const statusRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/status",
    tier: "observer",
    summary: "Count of tasks by status, and the newest tasks that are not over",
    query: z.strictObject({ all: AllTenants }),
    reply: z.object({ counts: z.record(z.string(), z.int()), stops: Stops, tasks: z.array(TaskView) }),
  },
  async (fleet: Fleet, { operator, query }) => {
    const counts = await countTasksFor(fleet, operator, query);
    const statuses = TaskStatus.options.filter((status) => !TERMINAL_STATUSES.includes(status));
    const { tasks } = await listTasksFor(fleet, operator, { all: query.all, statuses, limit: 100 });
    const stops = viewEstops(await listEstops(fleet, operator));
    return { body: { counts, stops, tasks: tasks.map(viewTask) } };
  },
);

const TasksQuery = PageQuery.extend({
  status: TaskStatus.optional(),
  type: TaskType.optional(),
  agent: AgentType.optional(),
  host: z.string().max(64).optional(),
  since: z.iso.datetime().optional(),
  text: z.string().min(1).max(200).optional().meta({ description: "Occurs in the title or the description" }),
  mine: z.stringbool().default(false).meta({ description: "Only your own" }),
  all: AllTenants,
});

export const tasksRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/tasks",
    tier: "observer",
    summary: "List tasks, newest first",
    description:
      "`type`, `agent`, `host` and `text` filter 2,000 tasks per page, so a page may be short or empty and still have a " +
      "`nextCursor`. The last page has none.",
    query: TasksQuery,
    reply: pageOf(TaskView),
  },
  async (fleet: Fleet, { operator, query }) => {
    const { tasks, next } = await listTasksFor(fleet, operator, {
      all: query.all,
      statuses: query.status ? [query.status] : undefined,
      taskType: query.type,
      agentType: query.agent,
      host: query.host,
      text: query.text,
      since: query.since ? new Date(query.since) : undefined,
      operatorId: query.mine ? operator.id : undefined,
      before: query.cursor ? decodeCursor(query.cursor) : undefined,
      limit: query.limit,
    });
    const nextCursor = next ? encodeCursor(next) : null;
    return { body: viewPage({ items: tasks, nextCursor }, viewTask) };
  },
);

export const taskRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/tasks/:task",
    tier: "observer",
    summary: "One task, the reason for its status, and its position in the queue",
    params: visibleTask,
    reply: TaskDetailView,
  },
  async (fleet: Fleet, { params: { task } }) => ({
    body: viewTaskDetail(task, (await positionsOf(fleet, [task])).get(task.id)),
  }),
);
