/** Handles an orders job: claims the order, runs it while recording evidence, and settles it together with its batch. */
import type { OrderJob } from "../../../queues/orders.ts";
import { FleetError, messageOf } from "../../domain/errors.ts";
import { orderEvent } from "../../domain/notify/event.ts";
import { decideOrder, type OrderDecision } from "../../domain/task/kill-switch.ts";
import { mayHeal } from "../../domain/orders/transient-failures.ts";
import type { Product } from "../../domain/product.ts";
import { evidenceDir, openEvidence } from "../../runs/evidence.ts";
import { removeLeftovers } from "../../runs/leftovers.ts";
import { claimOrder, deferOrder, renewOrderLease, skipOrder, type OrderClaim } from "../../store/order-claims.ts";
import { advanceBatches } from "../../store/orders.ts";
import { insertEvents } from "../../store/outbox.ts";
import { insertRun, listRunsOfOrder } from "../../store/runs.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import { executeIntent } from "./intents/index.ts";
import type { IntentOutcome } from "./intents/intent.ts";
import { type Lease, withLease } from "../lease.ts";
import { productsOf } from "../products/find.ts";
import { recordStart, type RunContext } from "./record.ts";
import { settleRun, type Verdict } from "./settle.ts";
import { readKillSwitches, killSwitchReason, killSwitchError } from "../products/kill-switches.ts";
import type { Order } from "../../domain/orders/order.ts";
import type { Run } from "../../domain/orders/run.ts";

/** Short, because the order of a dead worker runs again only after its lease has run out. */
const LEASE_MS = 5_000;

/** How long an order is left alone while a kill switch applies to it. */
const HOLD_RECHECK_MS = 2_000;

/**
 * Undefined when the order's state or epoch has changed, another worker runs it, or another worker took it over. Throws when
 * the queue should try the job once more.
 */
export async function runOrder(fleet: Fleet, job: OrderJob, signal: AbortSignal): Promise<Order | undefined> {
  const claimed = await claimForRun(fleet, job);
  fleet.kickRelay();
  if (!claimed) return undefined;
  if (!("run" in claimed)) return claimed.order;
  const { order, run, product } = claimed;
  const claim: OrderClaim = { orderId: order.id, epoch: order.epoch, worker: fleet.worker };
  const stop = new AbortController();
  const renew = () => renewOrderClaim(fleet, claim, product, stop);
  return withLease({ signal, leaseMs: LEASE_MS, renew }, async (lease) => {
    if (order.crashes > 0) await cleanUpLeftovers(fleet, order);
    const evidence = await openEvidence(evidenceDir(fleet.home, product.id, run.id), fleet.redactor);
    try {
      const work: RunContext = { order, run, product, evidence };
      const verdict = await executeOrder(fleet, work, { lease, stop: stop.signal, shutdown: signal });
      if (!verdict || !(await renew())) return undefined;
      const settled = await settleRun(fleet, claim, work, verdict);
      if (settled && (verdict.do === "heal" || verdict.do === "leave")) throw retryError(order, verdict.outcome);
      return settled;
    } finally {
      evidence.close();
    }
  });
}

type ClaimResult = { readonly order: Order } | { readonly order: Order; readonly run: Run; readonly product: Product };

/** Claims the order and creates its run; skips or defers the order when its product must not run. */
async function claimForRun(fleet: Fleet, { orderId, epoch }: OrderJob): Promise<ClaimResult | undefined> {
  const { worker, host } = fleet;
  return fleet.store.asSystem(async (tx) => {
    const claimed = await claimOrder(tx, { orderId, epoch, worker, host: host.id, leaseMs: LEASE_MS });
    if (!claimed) return undefined;
    const product = productsOf(fleet, claimed.tenantId).find(({ id }) => id === claimed.productId);
    if (!product) return skip(fleet, tx, claimed, `not-found: product ${claimed.productId} is no longer in fleet.yaml`);
    if (!product.enabled) return skip(fleet, tx, claimed, "product-stopped: the product is not enabled in fleet.yaml");
    const decided = await decideFor(fleet, tx, product, { isRunning: false });
    if (decided.do === "skip") return skip(fleet, tx, claimed, `product-stopped: ${killSwitchReason(decided.hold)}`);
    if (decided.do !== "go") return defer(tx, claimed, killSwitchReason(decided.hold));
    const id = fleet.newId();
    const run = await insertRun(tx, {
      id,
      tenantId: claimed.tenantId,
      operatorId: claimed.operatorId,
      orderId,
      productId: product.id,
      intent: claimed.intent,
      attempt: claimed.attempt,
      host: host.id,
      worker,
      dir: evidenceDir(fleet.home, product.id, id),
    });
    await insertEvents(tx, [
      orderEvent({ order: claimed, from: "pending", actor: worker, at: fleet.clock(), runId: id }),
    ]);
    return { order: claimed, run, product };
  });
}

async function decideFor(
  fleet: Fleet,
  tx: Tx,
  { tenant, id }: Product,
  order: { readonly isRunning: boolean },
): Promise<OrderDecision> {
  const switches = await readKillSwitches(fleet, tx, tenant);
  return decideOrder(order, switches, { tenantId: tenant, productIds: [id] });
}

/** A kill switch applies: the order stays pending with the reason, and is checked again later. */
async function defer(tx: Tx, claimed: Order, reason: string): Promise<ClaimResult | undefined> {
  const order = await deferOrder(tx, claimed, { reason, dueMs: HOLD_RECHECK_MS });
  return order && { order };
}

async function skip(fleet: Fleet, tx: Tx, claimed: Order, reason: string): Promise<ClaimResult | undefined> {
  const at = fleet.clock();
  const order = await skipOrder(tx, claimed, { reason, at });
  if (!order) return undefined;
  await insertEvents(tx, [orderEvent({ order, from: "pending", actor: fleet.worker, at })]);
  if (order.batchId !== null) await advanceBatches(tx, [order.batchId]);
  return { order };
}

type StopDecision = Extract<OrderDecision, { do: "skip" | "wait" | "give_back" | "finish" }>;

/** The reason why a running order is aborted. */
class OrderStoppedError extends FleetError {
  readonly isRequeued: boolean;

  constructor({ do: what, hold: found }: StopDecision) {
    super("stopped", killSwitchError(found).message, { reason: killSwitchReason(found) });
    this.isRequeued = what === "give_back";
  }
}

/** Renews the lease and checks the kill switches, so that a switch aborts a running order at once. */
async function renewOrderClaim(
  fleet: Fleet,
  claim: OrderClaim,
  product: Product,
  stop: AbortController,
): Promise<boolean> {
  return fleet.store.asSystem(async (tx) => {
    if (!(await renewOrderLease(tx, claim, LEASE_MS))) return false;
    const decided = await decideFor(fleet, tx, product, { isRunning: true });
    if (decided.do === "skip" || decided.do === "give_back") stop.abort(new OrderStoppedError(decided));
    return true;
  });
}

/** Ends what a dead worker of this host left running, before the order runs again. */
async function cleanUpLeftovers(fleet: Fleet, order: Order): Promise<void> {
  const runs = await fleet.store.asSystem((tx) => listRunsOfOrder(tx, order.id));
  const dead = runs.filter(({ host, failure }) => host === fleet.host.id && failure === "worker_died");
  for (const { id } of dead) await removeLeftovers(fleet.home, id);
}

function retryError({ productId, intent }: Order, { message }: IntentOutcome): FleetError {
  return new FleetError("order-tried-again", `${intent} of ${productId} will be tried once more: ${message}.`);
}

interface RunSignals {
  readonly lease: Lease;
  readonly stop: AbortSignal;
  readonly shutdown: AbortSignal;
}

/** The outcome. Undefined when another worker has taken the order over: then nothing may be stored. */
async function executeOrder(
  fleet: Fleet,
  work: RunContext,
  { lease, stop, shutdown }: RunSignals,
): Promise<Verdict | undefined> {
  const { order } = work;
  const signal = AbortSignal.any([lease.signal, stop]);
  let outcome: IntentOutcome;
  try {
    await recordStart(fleet, work);
    await fleet.faultPoint("order:before", order.id);
    outcome = await executeIntent({ fleet, ...work, signal });
  } catch (error) {
    if (!signal.aborted) return { do: "end", outcome: toFailedOutcome(fleet, work, error) };
    outcome = { ok: false, exitCode: null, message: "the order was stopped" };
  }
  if (stop.aborted) return stopVerdict(stop, outcome);
  if (shutdown.aborted && !outcome.ok) return { do: "leave", outcome };
  if (lease.signal.aborted && !shutdown.aborted) return undefined;
  const { ok, transient = false } = outcome;
  if (!ok && mayHeal({ intent: order.intent, attempt: order.attempt, transient })) return { do: "heal", outcome };
  return { do: "end", outcome };
}

/** A frozen order runs again after the release: it cannot be paused, since the time limits of its commands keep running. */
function stopVerdict({ reason }: AbortSignal, outcome: IntentOutcome): Verdict {
  const why: unknown = reason;
  if (!(why instanceof OrderStoppedError)) return { do: "stop", reason: "the order was stopped", outcome };
  const text = String(why.facts["reason"]);
  return why.isRequeued ? { do: "leave", why: text, outcome } : { do: "stop", reason: text, outcome };
}

function toFailedOutcome(fleet: Fleet, { order, run }: RunContext, error: unknown): IntentOutcome {
  const message = messageOf(error);
  if (error instanceof FleetError) {
    const { code, failure } = error;
    return { ok: false, exitCode: null, failure: code, transient: failure.retry, message };
  }
  fleet.log.error(
    { event: "order.broken", orderId: order.id, runId: run.id, error: message },
    "order failed with an internal error",
  );
  return { ok: false, exitCode: null, failure: "internal_error", message };
}
