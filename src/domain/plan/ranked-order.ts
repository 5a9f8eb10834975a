/** Turns a chosen candidate into a work order, and explains its score in words. */
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
  reasons: z.array(z.string()).meta({ description: "the parts of the score" }),
  subject: z.string().meta({ description: "distinguishes it from other orders of the same intent: the dossier" }),
  schedule_id: z.string().nullable(),
  slot_at: z.iso.datetime().nullable(),
});
export type PlannedOrder = z.infer<typeof PlannedOrder>;

export interface PlannedOrderOptions {
  readonly inputs: PlanInputs;
  readonly planId: string;
  readonly sha256: (text: string) => string;
}

/** `position` is its index in the plan: 0 is the most urgent. */
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

/** The id starts with the position, so that orders of equal priority run in the order in which they were planned. */
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
    ...(schedule ? [`due since ${schedule.slot_at} by schedule ${schedule.schedule_id}`] : []),
  ];
}

function scheduleSlot({ schedule }: Candidate): Pick<PlannedOrder, "schedule_id" | "slot_at"> {
  return { schedule_id: schedule?.schedule_id ?? null, slot_at: schedule?.slot_at ?? null };
}

/** The budget allows at least the time that the product's own checks may take. */
function computeBudget({ product, intent }: Candidate): OrderBudget {
  const usual = DEFAULT_ORDER_BUDGET[intent];
  if (intent !== "validate" && intent !== "test") return usual;
  return { ...usual, max_seconds: Math.min(86_400, Math.max(usual.max_seconds ?? 0, product.timeout_seconds)) };
}

/** Scales the score to a priority from 0 to 100. */
function toPriority(score: number): number {
  return Math.min(100, Math.round(score / 74));
}

function expectedEvidence({ product, intent }: Candidate): string[] {
  const own = intent === "validate" || intent === "test" ? product.evidence[intent] : [];
  return [...new Set([...EVIDENCE_BY_INTENT[intent], ...own])];
}

/** `age` is how long ago it was last done, or how long it has been waiting. */
type ReasonText = (about: Candidate & { readonly age: string; readonly inputs: PlanInputs }) => string;

const REASON_TEXTS: Readonly<Record<CandidateReason, ReasonText>> = {
  failed_validation: describeFailedRun,
  failed_test: describeFailedRun,
  missing_run_report: ({ intent, run }) => {
    if (intent !== "regenerate_report") return `there is no run of ${intent} yet`;
    return run ? "the last report could not be written" : "there are runs, but no report of them";
  },
  validated_dossier: ({ subject, age }) => `dossier ${subject} was validated ${age} ago and has no design yet`,
  stale: ({ intent, run, age, product }) => {
    if (!run) return `${intent} is due and has never run`;
    if (intent === "regenerate_report") return `the report is ${age} old, older than the last run`;
    if (intent !== "validate" && intent !== "test") return `${intent} is due; the last one was ${age} ago`;
    return `stale: the last ${intent} was ${age} ago, expected every ${formatDuration(staleAfterMs(product))}`;
  },
  unseen_drift: ({ run, age, product, inputs }) =>
    `no drift check ${run ? `for ${age}` : "yet"}${describeOpenDrift(product.product_id, inputs)}`,
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
  return open ? `; ${open.findings} open ${open.findings === 1 ? "finding" : "findings"} since ${open.since}` : "";
}

const MINUTE_MS = 60_000;

/** Formats with at most two units. A time in the future, which a wrong clock can cause, is 0m. */
function formatDuration(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / MINUTE_MS));
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours}h` : `${hours}h ${minutes % 60}m`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days}d` : `${days}d ${hours % 24}h`;
}
