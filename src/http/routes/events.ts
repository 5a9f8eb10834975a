/** GET /events, /events/recent, /tasks/:task/events: what happens to tasks and orders. */
import { z } from "zod";
import { followEvents, readEvents, type EventsRequest } from "../../conductor/tasks/events.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { getTaskNamed } from "../../conductor/tasks/find.ts";
import type { Operator } from "../../domain/operator.ts";
import { EventView } from "../../views/event.ts";
import { pageOf } from "../../views/page.ts";
import { defineRoute, defineStream, type StreamEvent } from "../route.ts";
import { AllTenants, visibleTask } from "./params.ts";

const About =
  "CloudEvents 1.0, oldest first. The ids of the stream are cursors: `Last-Event-ID` resumes after that event.";

export const eventsRoute = defineStream(
  {
    path: "/api/fleet/events",
    tier: "observer",
    summary: "Every event, as it happens",
    description: About,
    query: z.strictObject({ all: AllTenants }),
    reply: EventView,
  },
  async (fleet: Fleet, { operator, query, signal, lastEventId }) => {
    // Without the database this answers 503 with Retry-After, instead of a stream that breaks at once.
    await readEvents(fleet, operator, {}, 1);
    return stream(fleet, operator, { cursor: lastEventId, all: query.all }, signal);
  },
);

export const taskEventsRoute = defineStream(
  {
    path: "/api/fleet/tasks/:task/events",
    tier: "observer",
    summary: "Every event of one task, from its first",
    description: About,
    params: visibleTask,
    reply: EventView,
  },
  async (fleet: Fleet, { operator, params: { task }, signal, lastEventId }) =>
    stream(fleet, operator, { taskId: task.id, cursor: lastEventId, fromStart: true, all: true }, signal),
);

export const recentEventsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/events/recent",
    tier: "observer",
    summary: "The latest events",
    query: z.strictObject({
      limit: z.coerce.number().int().min(1).max(1_000).default(50),
      task: z.string().min(2).max(64).optional(),
    }),
    reply: pageOf(EventView),
    errors: ["task-not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, query }) => {
    const taskId = query.task ? (await getTaskNamed(fleet, operator, query.task)).id : undefined;
    const rows = await readEvents(fleet, operator, { taskId, all: taskId !== undefined }, query.limit);
    return { body: { items: rows.map(({ payload }) => EventView.parse(payload)), nextCursor: null } };
  },
);

async function* stream(
  fleet: Fleet,
  operator: Operator,
  request: EventsRequest,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent<EventView>, void> {
  for await (const { cursor, payload } of followEvents(fleet, operator, request, signal)) {
    const data = EventView.parse(payload);
    yield { id: cursor, event: data.type, data };
  }
}
