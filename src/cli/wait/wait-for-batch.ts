/** Waits for a batch of orders: reads them again at each event, and every few seconds in any case. */
import { EventView } from "../../views/event.ts";
import { OrderView } from "../../views/orders/order.ts";
import { pageOf, type Page } from "../../views/page.ts";
import { RunView } from "../../views/orders/run.ts";
import type { Shell } from "../command.ts";
import { openProgress } from "../print/progress.ts";
import { endLine, paintStatus } from "../print/run-lines.ts";
import { openBell } from "./bell.ts";
import { plural } from "../print/format.ts";

const POLL_MS = 5_000;
const FINISHED_STATUSES: ReadonlySet<string> = new Set(["completed", "failed", "skipped"]);

/** Prints how each order ends. Returns the orders as they are then; some are still open when the operator interrupted. */
export async function waitForBatch(batchId: string, shell: Shell): Promise<readonly OrderView[]> {
  const { terminal, json, world, api } = shell;
  const progress = json ? undefined : openProgress(terminal, world.clock);
  const reported = new Set<string>();
  const bell = openBell(world.signal, async (ring, signal) => {
    const events = api.follow("GET /api/fleet/events", {}, EventView, { signal });
    for await (const { data } of events) if (data.type.startsWith("fleet.order.")) ring();
  });
  try {
    for (;;) {
      const orders = await listBatchOrders(shell, batchId);
      for (const order of orders
        .filter(({ id, status }) => FINISHED_STATUSES.has(status) && !reported.has(id))
        .toSorted(byCompletion)) {
        reported.add(order.id);
        const params = { query: { order: order.id, limit: 1 } };
        const [run] = (await api.request("GET /api/fleet/runs", params, pageOf(RunView))).items;
        progress?.update(endLine(terminal, order, run));
      }
      if (reported.size === orders.length || world.signal.aborted) {
        progress?.end(batchSummary(orders));
        return orders;
      }
      const running = orders.find(({ status }) => status === "running");
      if (running) {
        const { productId, intent, status, attempt } = running;
        const retryNote = attempt > 0 ? "  retrying" : "";
        progress?.update(`${paintStatus(terminal, status)}  ${terminal.sanitize(productId)} ${intent}${retryNote}`);
      }
      await bell.waitForRing(POLL_MS);
    }
  } finally {
    await bell.close();
  }
}

/** Several orders may have ended between two reads. */
function byCompletion(a: OrderView, b: OrderView): number {
  return (a.completedAt ?? "").localeCompare(b.completedAt ?? "");
}

/** A batch never has more orders than one request may return. */
async function listBatchOrders({ api }: Shell, batchId: string): Promise<OrderView[]> {
  const orders: OrderView[] = [];
  let cursor: string | undefined;
  do {
    const params = { query: { batch: batchId, limit: 200, cursor } };
    const page: Page<OrderView> = await api.request("GET /api/fleet/orders", params, pageOf(OrderView));
    orders.push(...page.items);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return orders;
}

function batchSummary(orders: readonly OrderView[]): string {
  const count = (status: OrderView["status"]) => orders.filter((order) => order.status === status).length;
  const parts = (["completed", "failed", "skipped", "running", "pending"] as const)
    .filter((status) => count(status) > 0)
    .map((status) => `${count(status)} ${status}`);
  const open = orders.some(({ status }) => !FINISHED_STATUSES.has(status));
  return `${plural(orders.length, "order")}: ${parts.join(", ")}.${open ? " The open ones continue. See: fleet orders" : ""}`;
}
