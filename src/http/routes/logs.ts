/** GET /tasks/:task/logs and /logs/follow: what its agent wrote. */
import type { Fleet } from "../../conductor/fleet.ts";
import { followTaskLog, readTaskLog } from "../../conductor/tasks/logs.ts";
import { getTaskNamed } from "../../conductor/tasks/find.ts";
import { LogLine, LogsQuery, LogsView } from "../../views/event.ts";
import { defineRoute, defineStream } from "../route.ts";
import { TaskParams } from "./params.ts";

export const logsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/tasks/:task/logs",
    tier: "observer",
    summary: "The end of an agent's output",
    params: TaskParams,
    query: LogsQuery,
    reply: LogsView,
    errors: ["task-not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, params, query }) => {
    const task = await getTaskNamed(fleet, operator, params.task);
    const tail = await readTaskLog(fleet, task, query);
    return { body: { taskId: task.id, ...tail, lines: [...tail.lines] } };
  },
);

export const followLogsRoute = defineStream(
  {
    path: "/api/fleet/tasks/:task/logs/follow",
    tier: "observer",
    summary: "An agent's output as it comes",
    params: TaskParams,
    query: LogsQuery,
    reply: LogLine,
    errors: ["task-not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, params, query, signal }) => {
    const task = await getTaskNamed(fleet, operator, params.task);
    return toEvents(followTaskLog(fleet, task, query, signal));
  },
);

async function* toEvents<Data>(lines: AsyncIterable<Data>): AsyncGenerator<{ data: Data }, void> {
  for await (const data of lines) yield { data };
}
