/** The end of a run: what is owed is looked for, everything is sealed, and run, order, artifacts and batch are settled in one transaction. */
import { StaleVersionError } from "../../domain/errors.ts";
import { orderEvent } from "../../domain/notify/event.ts";
import type { LastRun } from "../../domain/orders/last-run.ts";
import type { OrderStatus, StopCondition } from "../../domain/orders/order.ts";
import { firedStops, owedEvidence, readSummary } from "../../domain/orders/run.ts";
import { shortId } from "../../domain/task/task.ts";
import { LAST_RUN, MANIFEST } from "../../runs/evidence.ts";
import { insertArtifacts, type NewArtifact } from "../../store/artifacts.ts";
import { returnOrder, settleOrder, skipBatch, type Claim } from "../../store/order-claims.ts";
import { advanceBatches, type Order } from "../../store/orders.ts";
import { insertEvents } from "../../store/outbox.ts";
import { endRun, type RunEnding } from "../../store/runs.ts";
import type { Tx } from "../../store/sql.ts";
import { WORKER } from "../../store/store.ts";
import type { Fleet } from "../fleet.ts";
import type { IntentOutcome } from "./intents/intent.ts";
import { unlessStale } from "../tasks/transition.ts";
import { publish, recordEnd, type Work } from "./record.ts";

export type Verdict =
  | { readonly do: "end"; readonly outcome: IntentOutcome }
  /** It failed by chance, and may be tried once more. */
  | { readonly do: "heal"; readonly outcome: IntentOutcome }
  /** This process is leaving, or everything is frozen (`why`); it is begun anew. */
  | { readonly do: "leave"; readonly outcome: IntentOutcome; readonly why?: string }
  /** Somebody stopped the product meanwhile. */
  | { readonly do: "stop"; readonly outcome: IntentOutcome; readonly reason: string };

/** How long a returned order is not missed: its job comes back after the queue's own pause. */
const AGAIN_MS = 5_000;

interface Settlement {
  readonly ending: RunEnding;
  readonly order: OrderStatus;
  readonly reason: string | null;
  readonly fired: readonly StopCondition[];
  readonly stopped?: string;
}

/** Undefined when the order was taken over meanwhile: then nothing of this is kept in the database. */
export async function settleRun(fleet: Fleet, claim: Claim, work: Work, verdict: Verdict): Promise<Order | undefined> {
  const meant = await settlementOf(work, verdict);
  const { settlement, lastRun, files } = await sealed(fleet, work, meant);
  await fleet.faultPoint("order:sealed", work.order.id);
  const settled = await unlessStale(
    fleet.store.transaction(WORKER, (tx) => settle(fleet, tx, { claim, work, settlement, files })),
  );
  if (!settled) return undefined;
  fleet.kickRelay();
  if (lastRun) await publish(fleet, work, lastRun);
  await fleet.faultPoint("order:after", work.order.id);
  return settled;
}

interface Sealed {
  readonly settlement: Settlement;
  readonly files: readonly NewArtifact[];
  readonly lastRun?: LastRun;
}

/** A run whose evidence cannot be kept (a disk that is full) has failed, however well it went. */
async function sealed(fleet: Fleet, work: Work, settlement: Settlement): Promise<Sealed> {
  const { ending, stopped } = settlement;
  const seconds = readSummary(ending.summary).spent?.seconds ?? secondsSince(fleet, work);
  const standing = { status: ending.status, sentence: ending.message ?? "", seconds, stopped };
  try {
    return { settlement, ...(await recordEnd(fleet, work, standing)) };
  } catch (error) {
    const message = `its evidence cannot be kept: ${error instanceof Error ? error.message : String(error)}`;
    fleet.log.error({ event: "evidence.lost", runId: work.run.id, error: message }, "a run's evidence is lost");
    const lost = { ...ending, status: "failed", failure: "evidence_lost", message } as const;
    return { settlement: { ...settlement, ending: lost, order: "failed", reason: message }, files: [] };
  }
}

interface Settling {
  readonly claim: Claim;
  readonly work: Work;
  readonly settlement: Settlement;
  readonly files: readonly NewArtifact[];
}

async function settle(fleet: Fleet, tx: Tx, { claim, work, settlement, files }: Settling): Promise<Order> {
  const { order, run } = work;
  const lost = () => new StaleVersionError(order.id, order.epoch, order.epoch + 1);
  const at = fleet.clock();
  const moved = await moveOrder(fleet, tx, { claim, work, settlement, files });
  if (!moved || !(await endRun(tx, run.id, settlement.ending))) throw lost();
  await insertArtifacts(tx, run, files);
  const event = (changed: Order, from: OrderStatus, runId?: string) =>
    orderEvent({ order: changed, from, actor: fleet.worker, at, runId });
  const events = [event(moved, "running", run.id)];
  if (order.batchId !== null && moved.status !== "pending") {
    const [stop] = settlement.fired;
    if (stop) {
      const reason = `${stop} of ${order.productId} ${order.intent} (${shortId(order.id)})`;
      const skipped = await skipBatch(tx, order.batchId, { reason, at });
      events.push(...skipped.map((one) => event(one, "pending")));
    }
    await advanceBatches(tx, [order.batchId]);
  }
  await insertEvents(tx, events);
  return moved;
}

async function moveOrder(
  fleet: Fleet,
  tx: Tx,
  { claim, work, settlement, files }: Settling,
): Promise<Order | undefined> {
  const { order, reason, ending } = settlement;
  if (order === "pending") return returnOrder(tx, claim, { healed: ending.status === "failed", dueMs: AGAIN_MS });
  if (order === "running") return undefined;
  const { startedAt } = work.run;
  const result = {
    exit_code: ending.exitCode,
    started_at: startedAt.toISOString(),
    completed_at: fleet.clock().toISOString(),
    duration_seconds: secondsSince(fleet, work),
    evidence_produced: files.map(({ name }) => name),
    error_message: order === "completed" ? null : reason,
  };
  return settleOrder(tx, claim, { status: order, reason, result });
}

type Base = Pick<RunEnding, "headSha" | "exitCode" | "failure" | "message" | "transient" | "summary">;

function baseOf(outcome: IntentOutcome): Base {
  const { headSha, exitCode, failure, message, transient = false, summary } = outcome;
  const sentence = message.slice(0, 2_000).toWellFormed().replaceAll("\0", "");
  const known = { headSha: headSha ?? null, failure: failure ?? null };
  return { ...known, exitCode, message: sentence, transient, summary: { ...summary } };
}

async function settlementOf(work: Work, verdict: Verdict): Promise<Settlement> {
  const { outcome } = verdict;
  const base = baseOf(outcome);
  if (verdict.do === "end") return ended(work, outcome, base);
  if (verdict.do === "heal") {
    return { ending: { ...base, status: "failed" }, order: "pending", reason: null, fired: [] };
  }
  if (verdict.do === "leave") {
    const [failure, message] = verdict.why ? ["frozen", verdict.why] : ["shutdown", "its worker was shut down"];
    return { ...cancelled(base, failure, message), order: "pending", reason: null };
  }
  const reason = `product-stopped: ${verdict.reason}`;
  return { ...cancelled(base, "product_stopped", reason), order: "skipped", reason, stopped: verdict.reason };
}

function cancelled(base: Base, failure: string, message: string): Pick<Settlement, "ending" | "fired"> {
  return { ending: { ...base, status: "cancelled", failure, message }, fired: [] };
}

/** What is owed and not there makes a failure of what went well. */
async function ended({ order, product, evidence }: Work, outcome: IntentOutcome, base: Base): Promise<Settlement> {
  const there = new Set([...(await evidence.names()), LAST_RUN, MANIFEST]);
  const missing = owedEvidence(order, product).filter((name) => !there.has(name));
  const ok = outcome.ok && missing.length === 0;
  const lacking = outcome.ok && !ok;
  const failure = lacking ? "missing_evidence" : base.failure;
  const message = lacking ? `${base.message}, but there is no ${missing.join(", no ")}` : base.message;
  const end = { intent: order.intent, ok, failure: failure ?? undefined, missing, fired: outcome.fired };
  const fired = firedStops(order.stopConditions, end);
  const summary = { ...base.summary, ...some({ missing }), ...some({ fired }) };
  const ending = { ...base, status: ok ? "success" : "failed", failure, message, summary } as const;
  return { ending, order: ok ? "completed" : "failed", reason: ok ? null : message, fired };
}

/** Nothing, when the list is empty. */
function some(named: Readonly<Record<string, readonly string[]>>): Readonly<Record<string, readonly string[]>> {
  return Object.values(named).some((list) => list.length > 0) ? named : {};
}

function secondsSince(fleet: Fleet, { run }: Work): number {
  return Math.max(0, fleet.clock().getTime() - run.startedAt.getTime()) / 1_000;
}
