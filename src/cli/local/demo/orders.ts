/** The second half of the demo: the repository is a product with a schedule, whose two work orders run and keep evidence. */
import { setTimeout as pause } from "node:timers/promises";
import { OrderView } from "../../../views/orders/order.ts";
import { pageOf } from "../../../views/page.ts";
import { RunStory, RunView } from "../../../views/orders/run.ts";
import { SchedulesView, ScheduleRunView } from "../../../views/orders/schedule.ts";
import type { Api } from "../../client/api.ts";
import type { Shell } from "../../command.ts";
import { waitForBatch } from "../../client/run-wait.ts";
import { plural, span } from "../../print/format.ts";
import { DEMO_PRODUCT } from "./world.ts";

/** Each order with its run, its evidence hashed anew. */
export interface DemoOrder {
  readonly order: OrderView;
  readonly story: RunStory;
}

const LOOK_MS = 100;
/** Files are read when a worker starts and then every two ticks. */
const READ_WITHIN_MS = 30_000;

/** As the clock would have it at the next full hour, only now. Throws when an order does not go well. */
export async function conductOrders(shell: Shell, api: Api, interrupted: AbortSignal): Promise<DemoOrder[]> {
  const { terminal, json } = shell;
  await scheduleIsRead(shell, api, interrupted);
  if (!json) {
    terminal.line();
    terminal.line(terminal.paint("bold", "And by the clock: the schedule of this product has it validated and tested"));
  }
  const product = { path: { product: DEMO_PRODUCT } };
  const made = await api.ask("POST /api/fleet/schedules/{product}/run", product, ScheduleRunView);
  const asked = { path: { order: made.orders[0]?.id ?? "" } };
  const first = await api.ask("GET /api/fleet/orders/{order}", asked, OrderView);
  const orders = await waitForBatch(first.batchId ?? "", { ...shell, api });
  interrupted.throwIfAborted();
  const done = [];
  for (const order of orders.toSorted((a, b) => b.priority - a.priority)) done.push(await storyOf(api, order));
  const wrong = done.flatMap((one) => differences(one));
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
  return done;
}

async function scheduleIsRead({ world }: Shell, api: Api, interrupted: AbortSignal): Promise<void> {
  const deadline = world.clock().getTime() + READ_WITHIN_MS;
  for (;;) {
    const { schedules } = await api.ask("GET /api/fleet/schedules", {}, SchedulesView);
    if (schedules.some(({ product, standing }) => product === DEMO_PRODUCT && standing === "on")) return;
    if (world.clock().getTime() > deadline)
      throw new Error(`The schedule was not read within ${span(READ_WITHIN_MS)}.`);
    await pause(LOOK_MS, undefined, { signal: interrupted });
  }
}

async function storyOf(api: Api, order: OrderView): Promise<DemoOrder> {
  const of = { query: { order: order.id, limit: 1 } };
  const { items } = await api.ask("GET /api/fleet/runs", of, pageOf(RunView));
  const asked = { path: { run: items[0]?.id ?? "" }, query: { verify: true } };
  const story = await api.ask("GET /api/fleet/runs/{run}", asked, RunStory);
  return { order, story };
}

function differences({ order, story }: DemoOrder): string[] {
  if (order.status !== "completed") return [`${order.intent} ended ${order.status}: ${order.reason ?? "no reason"}`];
  return story.verified?.ok ? [] : [`The evidence of ${order.intent} does not verify.`];
}

/** One line an order, with what proves it. */
export function orderStoryLines({ terminal }: Shell, orders: readonly DemoOrder[]): string[] {
  const { mark, paint, shown } = terminal;
  return orders.map(({ order, story: { run, artifacts } }) => {
    const took = run.seconds === null ? "" : paint("dim", ` in ${span(run.seconds * 1_000)}`);
    const tests = run.tests ? `, ${run.tests.passed} of ${run.tests.total} tests passed` : "";
    const names = artifacts.map(({ name }) => shown(name)).join(", ");
    return `${mark(true)} ${paint("bold", order.intent)}${took}${tests}; ${plural(artifacts.length, "piece of evidence", "pieces of evidence")}, each hash verified: ${paint("dim", names)}`;
  });
}
