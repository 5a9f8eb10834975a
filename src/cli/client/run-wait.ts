/** Waiting for a batch of orders: looks again whenever an event says so, and every few seconds anyway. */
import { EventView } from "../../views/event.ts";
import { OrderView } from "../../views/orders/order.ts";
import { pageOf, type Page } from "../../views/page.ts";
import { RunView } from "../../views/orders/run.ts";
import type { Shell } from "../command.ts";
import { openProgress } from "../progress.ts";
import { endLine, standing } from "../print/run-lines.ts";
import { openBell, type Bell } from "./wait.ts";
import { plural } from "../print/format.ts";

const LOOK_MS = 5_000;
const OVER: ReadonlySet<string> = new Set(["completed", "failed", "skipped"]);

/** Says how each order ends as it ends. The orders as they are then; some are open when the operator had enough. */
export async function waitForBatch(batchId: string, shell: Shell): Promise<readonly OrderView[]> {
  const { terminal, json, world, api } = shell;
  const progress = json ? undefined : openProgress(terminal, world.clock);
  const told = new Set<string>();
  const leave = new AbortController();
  const bell = openBell();
  const stop = () => {
    leave.abort();
    bell.ring();
  };
  world.signal.addEventListener("abort", stop, { once: true });
  const listening = listen(shell, bell, leave.signal);
  try {
    for (;;) {
      const orders = await batchOf(shell, batchId);
      for (const order of orders.filter(({ id, status }) => OVER.has(status) && !told.has(id)).toSorted(byEnd)) {
        told.add(order.id);
        const asked = { query: { order: order.id, limit: 1 } };
        const [run] = (await api.ask("GET /api/fleet/runs", asked, pageOf(RunView))).items;
        progress?.say(endLine(terminal, order, run));
      }
      if (told.size === orders.length || world.signal.aborted) {
        progress?.end(lastWord(orders));
        return orders;
      }
      const running = orders.find(({ status }) => status === "running");
      if (running) {
        const { productId, intent, status, attempt } = running;
        const again = attempt > 0 ? "  once more" : "";
        progress?.say(`${standing(terminal, status)}  ${terminal.shown(productId)} ${intent}${again}`);
      }
      await bell.rungWithin(LOOK_MS);
    }
  } finally {
    leave.abort();
    world.signal.removeEventListener("abort", stop);
    await listening;
  }
}

/** Several may have ended between two looks. */
function byEnd(a: OrderView, b: OrderView): number {
  return (a.completedAt ?? "").localeCompare(b.completedAt ?? "");
}

/** Of one batch there are at most as many as one may ask for at once. */
async function batchOf({ api }: Shell, batchId: string): Promise<OrderView[]> {
  const orders: OrderView[] = [];
  let cursor: string | undefined;
  do {
    const asked = { query: { batch: batchId, limit: 200, cursor } };
    const page: Page<OrderView> = await api.ask("GET /api/fleet/orders", asked, pageOf(OrderView));
    orders.push(...page.items);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return orders;
}

/** A stream that cannot be had costs speed, not truth. */
async function listen({ api }: Shell, bell: Bell, signal: AbortSignal): Promise<void> {
  try {
    const events = api.follow("STREAM /api/fleet/events", {}, EventView, { signal });
    for await (const { data } of events) if (data.type.startsWith("fleet.order.")) bell.ring();
  } catch {
    // Whatever it was, the question above meets it too, and says so.
  }
}

function lastWord(orders: readonly OrderView[]): string {
  const count = (status: OrderView["status"]) => orders.filter((order) => order.status === status).length;
  const parts = (["completed", "failed", "skipped", "running", "pending"] as const)
    .filter((status) => count(status) > 0)
    .map((status) => `${count(status)} ${status}`);
  const open = orders.some(({ status }) => !OVER.has(status));
  return `${plural(orders.length, "order")}: ${parts.join(", ")}.${open ? " They go on. See: fleet orders" : ""}`;
}
