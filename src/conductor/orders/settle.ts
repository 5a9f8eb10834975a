/** The end of a run: required evidence is checked and sealed, then run, order, artifacts and batch settle in one transaction. */
import { StaleVersionError, messageOf } from "../../domain/errors.ts";
import { orderEvent } from "../../domain/notify/event.ts";
import type { LastRun } from "../../domain/orders/last-run.ts";
import type { OrderStatus, StopCondition, Order } from "../../domain/orders/order.ts";
import { metStopConditions, requiredEvidence, parseRunSummary } from "../../domain/orders/run.ts";
import { shortId } from "../../domain/task/task.ts";
import { LAST_RUN, MANIFEST } from "../../runs/evidence.ts";
import { insertArtifacts, type NewArtifact } from "../../store/artifacts.ts";
import { releaseOrder, settleOrder, skipBatch, type OrderClaim } from "../../store/order-claims.ts";
import { advanceBatches } from "../../store/orders.ts";
import { insertEvents } from "../../store/outbox.ts";
import { endRun, type RunOutcome } from "../../store/runs.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import type { IntentOutcome } from "./intents/intent.ts";
import { ignoreStale } from "../tasks/transition.ts";
import { publishLastRun, recordEnd, type RunContext } from "./record.ts";

export type Verdict =
  | { readonly do: "end"; readonly outcome: IntentOutcome }
  /** A transient failure, which may be tried once more. */
  | { readonly do: "heal"; readonly outcome: IntentOutcome }
  /** This process shuts down, or the product is frozen (`why`); the order will run again. */
  | { readonly do: "leave"; readonly outcome: IntentOutcome; readonly why?: string }
  /** A kill switch stopped the product during the run. */
  | { readonly do: "stop"; readonly outcome: IntentOutcome; readonly reason: string };

/** How long a released order does not count as lost: the queue itself tries its job again after a pause. */
const REQUEUE_MS = 5_000;

interface Settlement {
  readonly ending: RunOutcome;
  readonly order: OrderStatus;
  readonly reason: string | null;
  readonly fired: readonly StopCondition[];
  readonly stopped?: string;
}

/** Undefined when another worker took the order over: then nothing is stored in the database. */
export async function settleRun(
  fleet: Fleet,
  claim: OrderClaim,
  work: RunContext,
  verdict: Verdict,
): Promise<Order | undefined> {
  const intended = await decideSettlement(work, verdict);
  const { settlement, lastRun, files } = await sealRun(fleet, work, intended);
  await fleet.faultPoint("order:sealed", work.order.id);
  const settled = await ignoreStale(
    fleet.store.asSystem((tx) => applySettlement(fleet, tx, { claim, work, settlement, files })),
  );
  if (!settled) return undefined;
  fleet.kickRelay();
  if (lastRun) await publishLastRun(fleet, work, lastRun);
  await fleet.faultPoint("order:after", work.order.id);
  return settled;
}

interface SealedRun {
  readonly settlement: Settlement;
  readonly files: readonly NewArtifact[];
  readonly lastRun?: LastRun;
}

/** A run whose evidence cannot be stored (because the disk is full) has failed, whatever its outcome was. */
async function sealRun(fleet: Fleet, work: RunContext, settlement: Settlement): Promise<SealedRun> {
  const { ending, stopped } = settlement;
  const seconds = parseRunSummary(ending.summary).spent?.seconds ?? secondsSince(fleet, work);
  const state = { status: ending.status, sentence: ending.message ?? "", seconds, stopped };
  try {
    return { settlement, ...(await recordEnd(fleet, work, state)) };
  } catch (error) {
    const message = `the evidence could not be stored: ${messageOf(error)}`;
    fleet.log.error({ event: "evidence.lost", runId: work.run.id, error: message }, "evidence of a run was lost");
    const lost = { ...ending, status: "failed", failure: "evidence_lost", message } as const;
    return { settlement: { ...settlement, ending: lost, order: "failed", reason: message }, files: [] };
  }
}

interface SettleRequest {
  readonly claim: OrderClaim;
  readonly work: RunContext;
  readonly settlement: Settlement;
  readonly files: readonly NewArtifact[];
}

async function applySettlement(
  fleet: Fleet,
  tx: Tx,
  { claim, work, settlement, files }: SettleRequest,
): Promise<Order> {
  const { order, run } = work;
  const lost = () => new StaleVersionError(order.id, order.epoch, order.epoch + 1);
  const at = fleet.clock();
  const moved = await transitionOrder(fleet, tx, { claim, work, settlement, files });
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

async function transitionOrder(
  fleet: Fleet,
  tx: Tx,
  { claim, work, settlement, files }: SettleRequest,
): Promise<Order | undefined> {
  const { order, reason, ending } = settlement;
  if (order === "pending") return releaseOrder(tx, claim, { healed: ending.status === "failed", dueMs: REQUEUE_MS });
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

type EndingBase = Pick<RunOutcome, "headSha" | "exitCode" | "failure" | "message" | "transient" | "summary">;

function toEndingBase(outcome: IntentOutcome): EndingBase {
  const { headSha, exitCode, failure, message, transient = false, summary } = outcome;
  const sentence = message.slice(0, 2_000).toWellFormed().replaceAll("\0", "");
  const known = { headSha: headSha ?? null, failure: failure ?? null };
  return { ...known, exitCode, message: sentence, transient, summary: { ...summary } };
}

async function decideSettlement(work: RunContext, verdict: Verdict): Promise<Settlement> {
  const { outcome } = verdict;
  const base = toEndingBase(outcome);
  if (verdict.do === "end") return finishedSettlement(work, outcome, base);
  if (verdict.do === "heal") {
    return { ending: { ...base, status: "failed" }, order: "pending", reason: null, fired: [] };
  }
  if (verdict.do === "leave") {
    const [failure, message] = verdict.why ? ["frozen", verdict.why] : ["shutdown", "the worker was shut down"];
    return { ...cancelledEnding(base, failure, message), order: "pending", reason: null };
  }
  const reason = `product-stopped: ${verdict.reason}`;
  return { ...cancelledEnding(base, "product_stopped", reason), order: "skipped", reason, stopped: verdict.reason };
}

function cancelledEnding(base: EndingBase, failure: string, message: string): Pick<Settlement, "ending" | "fired"> {
  return { ending: { ...base, status: "cancelled", failure, message }, fired: [] };
}

/** A successful run without its required evidence has failed. */
async function finishedSettlement(
  { order, product, evidence }: RunContext,
  outcome: IntentOutcome,
  base: EndingBase,
): Promise<Settlement> {
  const present = new Set([...(await evidence.names()), LAST_RUN, MANIFEST]);
  const missing = requiredEvidence(order, product).filter((name) => !present.has(name));
  const ok = outcome.ok && missing.length === 0;
  const isIncomplete = outcome.ok && !ok;
  const failure = isIncomplete ? "missing_evidence" : base.failure;
  const message = isIncomplete ? `${base.message}, but evidence is missing: ${missing.join(", ")}` : base.message;
  const end = { intent: order.intent, ok, failure: failure ?? undefined, missing, fired: outcome.fired };
  const fired = metStopConditions(order.stopConditions, end);
  const summary = { ...base.summary, ...omitEmpty({ missing }), ...omitEmpty({ fired }) };
  const ending = { ...base, status: ok ? "success" : "failed", failure, message, summary } as const;
  return { ending, order: ok ? "completed" : "failed", reason: ok ? null : message, fired };
}

/** An empty object when the list is empty. */
function omitEmpty(named: Readonly<Record<string, readonly string[]>>): Readonly<Record<string, readonly string[]>> {
  return Object.values(named).some((list) => list.length > 0) ? named : {};
}

function secondsSince(fleet: Fleet, { run }: RunContext): number {
  return Math.max(0, fleet.clock().getTime() - run.startedAt.getTime()) / 1_000;
}
