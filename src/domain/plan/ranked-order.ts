/** From a chosen candidate to its work order, with what its score is made of, said in words. */
import { z } from "zod";
import { uuidFromHash } from "../text/canonical.ts";
import {
  DEFAULT_ORDER_BUDGET,
  DEFAULT_STOP_CONDITIONS,
  EVIDENCE_BY_INTENT,
  WorkOrder,
  type OrderBudget,
} from "../orders/order.ts";
import {
  CRITICALITY_WEIGHTS,
  slaWeight,
  staleAfterMs,
  WEIGHTS,
  type Candidate,
  type CandidateReason,
} from "./candidates.ts";
import type { PlanInputs } from "./inputs.ts";

export const PlannedOrder = z.strictObject({
  order: WorkOrder,
  score: z.int(),
  reasons: z.array(z.string()).meta({ description: "what the score is made of" }),
  subject: z.string().meta({ description: "what tells it from others of its intent: the dossier" }),
  schedule_id: z.string().nullable(),
  slot_at: z.iso.datetime().nullable(),
});
export type PlannedOrder = z.infer<typeof PlannedOrder>;

export interface PlannedOrderOptions {
  readonly inputs: PlanInputs;
  readonly planId: string;
  readonly sha256: (text: string) => string;
}

/** `place` is where the plan has it: 0 is the most urgent. */
export function toPlannedOrder(candidate: Candidate, position: number, options: PlannedOrderOptions): PlannedOrder {
  const { inputs, planId } = options;
  const { product, intent, subject, score, schedule, dossier } = candidate;
  const job = schedule?.jobs.find((scheduledJob) => scheduledJob.intent === intent);
  const order: WorkOrder = {
    job_id: computeJobId(candidate, position, options),
    product_id: product.product_id,
    intent,
    inputs: dossier ? { dossier_id: dossier.dossier_id, path: dossier.path } : {},
    budget: job?.budget ?? computeBudget(candidate),
    stop_conditions: [...(job?.stop_conditions ?? DEFAULT_STOP_CONDITIONS[intent])],
    priority: job?.priority ?? toPriority(score),
    evidence_expectations: expectedEvidence(candidate),
    created_at: inputs.as_of,
    status: "pending",
    result: null,
    plan_id: planId,
    policy_refs: [inputs.policy_ref, ...(schedule ? [schedule.policy_ref] : [])],
  };
  return { order, score, reasons: explainScore(candidate, inputs), subject, ...scheduleSlot(candidate) };
}

/** Begins with its place, so that those of equal priority are run in the order in which they were planned. */
function computeJobId(
  { product, intent, subject }: Candidate,
  position: number,
  { planId, sha256 }: PlannedOrderOptions,
): string {
  const hash = sha256([planId, product.product_id, intent, subject].join("\n"));
  return uuidFromHash(position.toString(16).padStart(4, "0") + hash.slice(4));
}

function explainScore(candidate: Candidate, inputs: PlanInputs): string[] {
  const { why, product, schedule } = candidate;
  return [
    `+${WEIGHTS[why]} ${describeReason(candidate, inputs)}`,
    `+${CRITICALITY_WEIGHTS[product.criticality]} criticality ${product.criticality}`,
    `+${slaWeight(product.sla_tier)} SLA tier ${product.sla_tier}`,
    ...(schedule ? [`due since ${schedule.slot_at}, says schedule ${schedule.schedule_id}`] : []),
  ];
}

function scheduleSlot({ schedule }: Candidate): Pick<PlannedOrder, "schedule_id" | "slot_at"> {
  return { schedule_id: schedule?.schedule_id ?? null, slot_at: schedule?.slot_at ?? null };
}

/** What the product's own checks may take, at least. */
function computeBudget({ product, intent }: Candidate): OrderBudget {
  const usual = DEFAULT_ORDER_BUDGET[intent];
  if (intent !== "validate" && intent !== "test") return usual;
  return { ...usual, max_seconds: Math.min(86_400, Math.max(usual.max_seconds ?? 0, product.timeout_seconds)) };
}

/** From 0 to 100, as the score has it. */
function toPriority(score: number): number {
  return Math.min(100, Math.round(score / 74));
}

function expectedEvidence({ product, intent }: Candidate): string[] {
  const own = intent === "validate" || intent === "test" ? product.evidence[intent] : [];
  return [...new Set([...EVIDENCE_BY_INTENT[intent], ...own])];
}

/** `age`: how long ago it was last done, or since when it waits. */
type ReasonText = (about: Candidate & { readonly age: string; readonly inputs: PlanInputs }) => string;

const REASON_TEXTS: Readonly<Record<CandidateReason, ReasonText>> = {
  failed_validation: describeFailedRun,
  failed_test: describeFailedRun,
  missing_run_report: ({ intent, run }) => {
    if (intent !== "regenerate_report") return `there is no run of ${intent} yet`;
    return run ? "the last report could not be written" : "there are runs, but no report of them";
  },
  validated_dossier: ({ subject, age }) => `dossier ${subject} was validated ${age} ago and waits`,
  stale: ({ intent, run, age, product }) => {
    if (!run) return `${intent} is due and was never done`;
    if (intent === "regenerate_report") return `the report of ${age} ago is older than the last run`;
    if (intent !== "validate" && intent !== "test") return `${intent} is due; the last one was ${age} ago`;
    return `stale: the last ${intent} was ${age} ago, wanted every ${formatDuration(staleAfterMs(product))}`;
  },
  unseen_drift: ({ run, age, product, inputs }) =>
    `nobody looked for drift ${run ? `for ${age}` : "yet"}${describeOpenDrift(product.product_id, inputs)}`,
  healthy: ({ intent, age }) => `healthy: the last ${intent} succeeded ${age} ago`,
};

function describeReason(candidate: Candidate, inputs: PlanInputs): string {
  const age = formatDuration(Date.parse(inputs.as_of) - candidate.sinceMs);
  return REASON_TEXTS[candidate.why]({ ...candidate, age, inputs });
}

function describeFailedRun({ intent, run, age }: Parameters<ReasonText>[0]): string {
  return `the last ${intent} failed ${age} ago${run?.failure ? ` (${run.failure})` : ""}`;
}

function describeOpenDrift(productId: string, { open_drift: drift }: PlanInputs): string {
  const open = drift.find((found) => found.product_id === productId);
  return open ? `; ${open.findings} found before, open since ${open.since}` : "";
}

const MINUTE_MS = 60_000;

/** Two units at most; a moment ago, and what a clock has put into the future, is 0m. */
function formatDuration(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / MINUTE_MS));
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours}h` : `${hours}h ${minutes % 60}m`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days}d` : `${days}d ${hours % 24}h`;
}
