/** GET /tasks/:task/logs and /logs/follow: the output of its agent. */
import type { Fleet } from "../../conductor/fleet.ts";
import { followTaskLog, readTaskLog } from "../../conductor/tasks/logs.ts";
import { LogLine, LogsQuery, LogsView } from "../../views/event.ts";
import { defineRoute, defineStream } from "../route.ts";
import { visibleTask } from "./params.ts";

export const logsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/tasks/:task/logs",
    tier: "observer",
    summary: "The end of an agent's output",
    params: visibleTask,
    query: LogsQuery,
    reply: LogsView,
  },
  async (fleet: Fleet, { params: { task }, query }) => {
    const tail = await readTaskLog(fleet, task, query);
    return { body: { taskId: task.id, ...tail, lines: [...tail.lines] } };
  },
);

export const followLogsRoute = defineStream(
  {
    path: "/api/fleet/tasks/:task/logs/follow",
    tier: "observer",
    summary: "An agent's output as it is written",
    params: visibleTask,
    query: LogsQuery,
    reply: LogLine,
  },
  async (fleet: Fleet, { params: { task }, query, signal }) => toEvents(followTaskLog(fleet, task, query, signal)),
);

async function* toEvents<Data>(lines: AsyncIterable<Data>): AsyncGenerator<{ data: Data }, void> {
  for await (const data of lines) yield { data };
}
