/** /schedules and /products/:product/pushed: reading, pausing and running schedules, and reporting a push. */
import type { z } from "zod";
import { listEstops } from "../../conductor/attempts/estop.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import {
  getSchedule,
  listSchedulesFor,
  handlePush,
  pauseScheduleFor,
  resumeScheduleFor,
  describeDifference,
} from "../../conductor/schedules/requests.ts";
import { runNow, type ScheduleRun } from "../../conductor/schedules/run.ts";
import { viewEstops } from "../../views/estop.ts";
import {
  PauseReason,
  Push,
  ScheduleRunView,
  SchedulesView,
  ScheduleView,
  viewSchedule,
} from "../../views/orders/schedule.ts";
import { defineRoute } from "../route.ts";
import { ProductParams } from "./params.ts";

export const schedulesRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/schedules",
    tier: "observer",
    summary: "The schedules: the last and the next run of each, and how it differs from its file",
    reply: SchedulesView,
    etagOf: ({ at: _at, ...rest }) => rest,
  },
  async (fleet: Fleet, { operator }) => {
    const now = fleet.clock();
    const { schedules, strays } = await listSchedulesFor(fleet, operator);
    const shown = schedules.map((seen) => viewSchedule(seen, now));
    const differences = shown.reduce((sum, view) => sum + view.differences.length, strays.length);
    return {
      body: {
        at: now.toISOString(),
        stops: viewEstops(await listEstops(fleet, operator)),
        schedules: shown,
        strays: strays.map((stray) => ({ id: stray.id, what: describeDifference(stray) })),
        differences,
      },
    };
  },
);

const schedulePost = { method: "post", tier: "builder", params: ProductParams, errors: ["not-found"] } as const;

export const pauseScheduleRoute = defineRoute(
  {
    ...schedulePost,
    path: "/api/fleet/schedules/:product/pause",
    summary: "Pause a schedule: it adds no orders until it is resumed",
    body: PauseReason,
    reply: ScheduleView,
  },
  async (fleet: Fleet, { operator, params, body }) => {
    const seen = await pauseScheduleFor(fleet, operator, params.product, body.reason);
    return { body: viewSchedule(seen, fleet.clock()) };
  },
);

export const resumeScheduleRoute = defineRoute(
  {
    ...schedulePost,
    path: "/api/fleet/schedules/:product/resume",
    summary: "Resume a schedule: runs that were missed meanwhile are not made up for",
    reply: ScheduleView,
  },
  async (fleet: Fleet, { operator, params }) => {
    const seen = await resumeScheduleFor(fleet, operator, params.product);
    return { body: viewSchedule(seen, fleet.clock()) };
  },
);

export const runScheduleRoute = defineRoute(
  {
    ...schedulePost,
    path: "/api/fleet/schedules/:product/run",
    summary: "Run a schedule now: its next run stays as scheduled",
    reply: ScheduleRunView,
    statuses: { 201: "the orders that it added; none if all were open already" },
    errors: ["not-found", "invalid-transition", "product-stopped", "stopped"],
  },
  async (fleet: Fleet, { operator, params }) => {
    const { id, tenantId } = await getSchedule(fleet, operator, params.product);
    const run = await runNow(fleet, operator, { tenantId, id });
    return { status: 201, body: viewScheduleRun(id, run) };
  },
);

export const pushedRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/products/:product/pushed",
    tier: "builder",
    summary: "Report a push: a schedule that runs on push runs now",
    params: ProductParams,
    body: Push,
    reply: ScheduleRunView,
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, params, body }) => ({
    body: viewScheduleRun(params.product, await handlePush(fleet, operator, params.product, body.sha)),
  }),
);

function viewScheduleRun(product: string, { outcome, orders }: ScheduleRun): z.input<typeof ScheduleRunView> {
  return { product, outcome, orders: orders.map(({ id, intent, priority }) => ({ id, intent, priority })) };
}
