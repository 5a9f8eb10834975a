/** The planner's candidates: orders that could run next, each with a score for its urgency. */
import { z } from "zod";
import type { Intent } from "../orders/order.ts";
import type { PlanDossier, PlanInputs, PlanProduct, PlanRun, PlanSchedule } from "./inputs.ts";
import { PLANNABLE_STATUSES, type Criticality } from "../product.ts";

/** The reason for an order determines most of its score: failures come first, healthy products last. */
export const WEIGHTS = {
  failed_validation: 7_000,
  failed_test: 6_000,
  missing_run_report: 5_000,
  validated_dossier: 4_000,
  stale: 3_000,
  unseen_drift: 2_000,
  healthy: 1_000,
} as const;
export type CandidateReason = keyof typeof WEIGHTS;

export const CRITICALITY_WEIGHTS: Readonly<Record<Criticality, number>> = { high: 300, medium: 200, low: 100 };

/** SLA tier 1 is the most urgent. */
export function slaWeight(tier: number): number {
  return (6 - tier) * 10;
}

const HOUR_MS = 3_600_000;
/** After how long a result is stale, by SLA tier, for a product without a schedule. */
export const STALE_MS: Readonly<Record<number, number>> = {
  1: 6 * HOUR_MS,
  2: 12 * HOUR_MS,
  3: 24 * HOUR_MS,
  4: 72 * HOUR_MS,
  5: 168 * HOUR_MS,
};
/** The fleet also scans for drift on its own, so a product's drift check need not be as frequent as its tests. */
const DRIFT_CHECK_MS = 24 * HOUR_MS;

/** How many products were not considered, by reason. */
export const ExcludedCounts = z.strictObject({ disabled: z.int(), stopped: z.int(), status: z.int() });
export type ExcludedCounts = z.infer<typeof ExcludedCounts>;

export interface Candidate {
  readonly product: PlanProduct;
  /** The product's index in the list, which is sorted by id. */
  readonly place: number;
  readonly intent: Intent;
  readonly subject: string;
  readonly why: CandidateReason;
  readonly score: number;
  /** When it was last done, or since when it waits; -Infinity if never. The oldest comes first. */
  readonly sinceMs: number;
  readonly run?: PlanRun | undefined;
  readonly dossier?: PlanDossier | undefined;
  readonly schedule?: PlanSchedule | undefined;
}

const INTENT_ORDER: Readonly<Record<Intent, number>> = {
  validate: 0,
  test: 1,
  regenerate_report: 2,
  science_to_design: 3,
  drift_check: 4,
  gc_runs: 5,
};

/** Orders by score, then age, then product and intent, so that no two candidates compare equal. */
export function compareCandidates(a: Candidate, b: Candidate): number {
  return (
    b.score - a.score ||
    compareAge(a.sinceMs, b.sinceMs) ||
    a.place - b.place ||
    INTENT_ORDER[a.intent] - INTENT_ORDER[b.intent] ||
    (a.subject < b.subject ? -1 : 1)
  );
}

/** Compares without subtracting, because -Infinity minus -Infinity is NaN: two that never ran are equally old. */
function compareAge(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The inputs that concern one product. */
interface ProductContext {
  readonly product: PlanProduct;
  readonly place: number;
  readonly runs: ReadonlyMap<Intent, PlanRun>;
  readonly dossiers: readonly PlanDossier[];
  readonly nowMs: number;
}

/** `inputs` must be sorted by product, and a product's runs by age, the newest first. */
export function findCandidates(inputs: PlanInputs): { candidates: Candidate[]; leftOut: ExcludedCounts } {
  const nowMs = Date.parse(inputs.as_of);
  const runsOf = groupByProduct(inputs.latest_runs);
  const dossiersOf = groupByProduct(inputs.dossiers);
  const schedulesOf = groupByProduct(inputs.schedules);
  const leftOut = { disabled: 0, stopped: 0, status: 0 };
  const candidates: Candidate[] = [];
  for (const [place, product] of inputs.products.entries()) {
    const { product_id: id } = product;
    if (inputs.products[place - 1]?.product_id === id) continue;
    const exclusion = exclusionReason(product);
    if (exclusion) {
      leftOut[exclusion] += 1;
      continue;
    }
    const runs = newestByIntent(runsOf.get(id) ?? []);
    const context = { product, place, runs, dossiers: dossiersOf.get(id) ?? [], nowMs };
    if (inputs.source === "state") candidates.push(...stateCandidates(context));
    else candidates.push(...scheduleCandidates(context, schedulesOf.get(id)?.[0]));
  }
  return { candidates, leftOut };
}

function exclusionReason({ enabled, stopped, status }: PlanProduct): keyof ExcludedCounts | undefined {
  if (stopped !== null) return "stopped";
  if (!enabled) return "disabled";
  return PLANNABLE_STATUSES.includes(status) ? undefined : "status";
}

function stateCandidates(context: ProductContext): Candidate[] {
  const { product, dossiers } = context;
  const found: Candidate[] = [];
  for (const intent of product.intents)
    if (intent === "validate" || intent === "test") found.push(checkCandidate(context, intent));
  const report = reportCandidate(context);
  if (report) found.push(report);
  for (const [at, dossier] of dossiers.entries()) {
    if (dossiers[at - 1]?.dossier_id === dossier.dossier_id) continue;
    const sinceMs = Date.parse(dossier.since);
    found.push({
      ...scoreCandidate(context, "science_to_design", "validated_dossier", sinceMs),
      subject: dossier.dossier_id,
      dossier,
    });
  }
  const drift = driftCandidate(context);
  if (drift) found.push(drift);
  return found;
}

/** Returns the jobs of its schedule, scored by the product's state. */
function scheduleCandidates(context: ProductContext, schedule: PlanSchedule | undefined): Candidate[] {
  return (schedule?.jobs ?? []).flatMap(({ intent }) => {
    if (intent === "science_to_design") return [];
    if (intent !== "validate" && intent !== "test") return [{ ...dueCandidate(context, intent), schedule }];
    return context.product.intents.includes(intent) ? [{ ...checkCandidate(context, intent), schedule }] : [];
  });
}

function dueCandidate(context: ProductContext, intent: "regenerate_report" | "drift_check" | "gc_runs"): Candidate {
  const run = context.runs.get(intent);
  return { ...scoreCandidate(context, intent, "stale", run ? Date.parse(run.ended_at) : -Infinity), run };
}

function checkCandidate(context: ProductContext, intent: "validate" | "test"): Candidate {
  const run = context.runs.get(intent);
  if (!run) return scoreCandidate(context, intent, "missing_run_report", -Infinity);
  const sinceMs = Date.parse(run.ended_at);
  const failed = intent === "validate" ? "failed_validation" : "failed_test";
  const why =
    run.status === "failed" ? failed : context.nowMs - sinceMs > staleAfterMs(context.product) ? "stale" : "healthy";
  return { ...scoreCandidate(context, intent, why, sinceMs), run };
}

/** A product that has runs, and whose report is missing or older than the last one. */
function reportCandidate(context: ProductContext): Candidate | undefined {
  const ran = [context.runs.get("validate"), context.runs.get("test")].flatMap((run) => (run ? [run.ended_at] : []));
  if (ran.length === 0) return undefined;
  const last = Math.max(...ran.map((at) => Date.parse(at)));
  const run = context.runs.get("regenerate_report");
  if (run?.status !== "success")
    return { ...scoreCandidate(context, "regenerate_report", "missing_run_report", last), run };
  const sinceMs = Date.parse(run.ended_at);
  return sinceMs < last ? { ...scoreCandidate(context, "regenerate_report", "stale", sinceMs), run } : undefined;
}

function driftCandidate(context: ProductContext): Candidate | undefined {
  const run = context.runs.get("drift_check");
  const sinceMs = run ? Date.parse(run.ended_at) : -Infinity;
  if (context.nowMs - sinceMs <= Math.max(DRIFT_CHECK_MS, staleAfterMs(context.product))) return undefined;
  return { ...scoreCandidate(context, "drift_check", "unseen_drift", sinceMs), run };
}

export function staleAfterMs({ every_seconds: every, sla_tier: tier }: PlanProduct): number {
  return every === null ? (STALE_MS[tier] ?? DRIFT_CHECK_MS) : every * 1_000;
}

function scoreCandidate(
  { product, place }: ProductContext,
  intent: Intent,
  why: CandidateReason,
  sinceMs: number,
): Candidate {
  const score = WEIGHTS[why] + CRITICALITY_WEIGHTS[product.criticality] + slaWeight(product.sla_tier);
  return { product, place, intent, subject: "", why, score, sinceMs };
}

/** Keeps the first run of each intent, because the runs are sorted newest first. */
function newestByIntent(runs: readonly PlanRun[]): ReadonlyMap<Intent, PlanRun> {
  const found = new Map<Intent, PlanRun>();
  for (const run of runs) if (!found.has(run.intent)) found.set(run.intent, run);
  return found;
}

function groupByProduct<Item extends { readonly product_id: string }>(items: readonly Item[]): Map<string, Item[]> {
  const found = new Map<string, Item[]>();
  for (const item of items) {
    const known = found.get(item.product_id);
    if (known) known.push(item);
    else found.set(item.product_id, [item]);
  }
  return found;
}
