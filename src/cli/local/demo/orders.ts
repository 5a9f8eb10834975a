/** The second half of the demo: the repository is a product with a schedule, whose two work orders run and produce evidence. */
import { setTimeout as pause } from "node:timers/promises";
import { OrderView } from "../../../views/orders/order.ts";
import { pageOf } from "../../../views/page.ts";
import { RunStory, RunView } from "../../../views/orders/run.ts";
import { SchedulesView, ScheduleRunView } from "../../../views/orders/schedule.ts";
import type { Api } from "../../client/api.ts";
import type { Shell } from "../../command.ts";
import { waitForBatch } from "../../wait/wait-for-batch.ts";
import { plural, formatDuration } from "../../print/format.ts";
import { DEMO_PRODUCT } from "./world.ts";

/** Each order with its run and the check of its evidence. */
export interface DemoOrder {
  readonly order: OrderView;
  readonly story: RunStory;
}

const POLL_MS = 100;
/** Schedule files are read when a worker starts, and then every two ticks. */
const SCHEDULE_TIMEOUT_MS = 30_000;

/** Runs the schedule as the clock would at the next full hour. Throws when an order fails. */
export async function runOrders(shell: Shell, api: Api, interrupted: AbortSignal): Promise<DemoOrder[]> {
  const { terminal, json } = shell;
  await waitForSchedule(shell, api, interrupted);
  if (!json) {
    terminal.line();
    terminal.line(terminal.paint("bold", "Work on schedule: this product is validated and tested by its schedule"));
  }
  const product = { path: { product: DEMO_PRODUCT } };
  const made = await api.request("POST /api/fleet/schedules/:product/run", product, ScheduleRunView);
  const params = { path: { order: made.orders[0]?.id ?? "" } };
  const first = await api.request("GET /api/fleet/orders/:order", params, OrderView);
  const orders = await waitForBatch(first.batchId ?? "", { ...shell, api });
  interrupted.throwIfAborted();
  const done = [];
  for (const order of orders.toSorted((a, b) => b.priority - a.priority)) done.push(await fetchOrderStory(api, order));
  const wrong = done.flatMap((one) => orderProblems(one));
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
  return done;
}

async function waitForSchedule({ world }: Shell, api: Api, interrupted: AbortSignal): Promise<void> {
  const deadline = world.clock().getTime() + SCHEDULE_TIMEOUT_MS;
  for (;;) {
    const { schedules } = await api.request("GET /api/fleet/schedules", {}, SchedulesView);
    if (schedules.some(({ product, standing }) => product === DEMO_PRODUCT && standing === "on")) return;
    if (world.clock().getTime() > deadline)
      throw new Error(`The schedule was not read within ${formatDuration(SCHEDULE_TIMEOUT_MS)}.`);
    await pause(POLL_MS, undefined, { signal: interrupted });
  }
}

async function fetchOrderStory(api: Api, order: OrderView): Promise<DemoOrder> {
  const runQuery = { query: { order: order.id, limit: 1 } };
  const { items } = await api.request("GET /api/fleet/runs", runQuery, pageOf(RunView));
  const params = { path: { run: items[0]?.id ?? "" }, query: { verify: true } };
  const story = await api.request("GET /api/fleet/runs/:run", params, RunStory);
  return { order, story };
}

function orderProblems({ order, story }: DemoOrder): string[] {
  if (order.status !== "completed") return [`${order.intent} ended ${order.status}: ${order.reason ?? "no reason"}`];
  return story.verified?.ok ? [] : [`The evidence of ${order.intent} does not verify.`];
}

/** One line per order, with its evidence. */
export function orderStoryLines({ terminal }: Shell, orders: readonly DemoOrder[]): string[] {
  const { mark, paint, sanitize } = terminal;
  return orders.map(({ order, story: { run, artifacts } }) => {
    const took = run.seconds === null ? "" : paint("dim", ` in ${formatDuration(run.seconds * 1_000)}`);
    const tests = run.tests ? `, ${run.tests.passed} of ${run.tests.total} tests passed` : "";
    const names = artifacts.map(({ name }) => sanitize(name)).join(", ");
    return `${mark(true)} ${paint("bold", order.intent)}${took}${tests}; ${plural(artifacts.length, "piece of evidence", "pieces of evidence")}, each hash verified: ${paint("dim", names)}`;
  });
}
