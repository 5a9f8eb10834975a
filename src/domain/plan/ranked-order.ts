/** From a chosen candidate to its work order, with what its score is made of, said in words. */
import { z } from "zod";
import { uuidOf } from "../text/canonical.ts";
import { DEFAULT_BUDGET, DEFAULT_STOPS, EVIDENCE_OF, WorkOrder, type OrderBudget } from "../orders/order.ts";
import { CRITICALITY_WEIGHTS, slaWeight, staleAfter, WEIGHTS, type Candidate, type Why } from "./candidates.ts";
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

export interface Terms {
  readonly inputs: PlanInputs;
  readonly planId: string;
  readonly sha256: (text: string) => string;
}

/** `place` is where the plan has it: 0 is the most urgent. */
export function orderFor(candidate: Candidate, place: number, terms: Terms): PlannedOrder {
  const { inputs, planId } = terms;
  const { product, intent, subject, score, schedule, dossier } = candidate;
  const job = schedule?.jobs.find((asked) => asked.intent === intent);
  const order: WorkOrder = {
    job_id: jobIdOf(candidate, place, terms),
    product_id: product.product_id,
    intent,
    inputs: dossier ? { dossier_id: dossier.dossier_id, path: dossier.path } : {},
    budget: job?.budget ?? budgetOf(candidate),
    stop_conditions: [...(job?.stop_conditions ?? DEFAULT_STOPS[intent])],
    priority: job?.priority ?? priorityOf(score),
    evidence_expectations: evidenceOf(candidate),
    created_at: inputs.as_of,
    status: "pending",
    result: null,
    plan_id: planId,
    policy_refs: [inputs.policy_ref, ...(schedule ? [schedule.policy_ref] : [])],
  };
  return { order, score, reasons: reasonsOf(candidate, inputs), subject, ...slotOf(candidate) };
}

/** Begins with its place, so that those of equal priority are run in the order in which they were planned. */
function jobIdOf({ product, intent, subject }: Candidate, place: number, { planId, sha256 }: Terms): string {
  const hash = sha256([planId, product.product_id, intent, subject].join("\n"));
  return uuidOf(place.toString(16).padStart(4, "0") + hash.slice(4));
}

function reasonsOf(candidate: Candidate, inputs: PlanInputs): string[] {
  const { why, product, schedule } = candidate;
  return [
    `+${WEIGHTS[why]} ${whyOf(candidate, inputs)}`,
    `+${CRITICALITY_WEIGHTS[product.criticality]} criticality ${product.criticality}`,
    `+${slaWeight(product.sla_tier)} SLA tier ${product.sla_tier}`,
    ...(schedule ? [`due since ${schedule.slot_at}, says schedule ${schedule.schedule_id}`] : []),
  ];
}

function slotOf({ schedule }: Candidate): Pick<PlannedOrder, "schedule_id" | "slot_at"> {
  return { schedule_id: schedule?.schedule_id ?? null, slot_at: schedule?.slot_at ?? null };
}

/** What the product's own checks may take, at least. */
function budgetOf({ product, intent }: Candidate): OrderBudget {
  const usual = DEFAULT_BUDGET[intent];
  if (intent !== "validate" && intent !== "test") return usual;
  return { ...usual, max_seconds: Math.min(86_400, Math.max(usual.max_seconds ?? 0, product.timeout_seconds)) };
}

/** From 0 to 100, as the score has it. */
function priorityOf(score: number): number {
  return Math.min(100, Math.round(score / 74));
}

function evidenceOf({ product, intent }: Candidate): string[] {
  const own = intent === "validate" || intent === "test" ? product.evidence[intent] : [];
  return [...new Set([...EVIDENCE_OF[intent], ...own])];
}

/** `age`: how long ago it was last done, or since when it waits. */
type Said = (about: Candidate & { readonly age: string; readonly inputs: PlanInputs }) => string;

const WORDS: Readonly<Record<Why, Said>> = {
  failed_validation: failedWords,
  failed_test: failedWords,
  missing_run_report: ({ intent, run }) => {
    if (intent !== "regenerate_report") return `there is no run of ${intent} yet`;
    return run ? "the last report could not be written" : "there are runs, but no report of them";
  },
  validated_dossier: ({ subject, age }) => `dossier ${subject} was validated ${age} ago and waits`,
  stale: ({ intent, run, age, product }) => {
    if (!run) return `${intent} is due and was never done`;
    if (intent === "regenerate_report") return `the report of ${age} ago is older than the last run`;
    if (intent !== "validate" && intent !== "test") return `${intent} is due; the last one was ${age} ago`;
    return `stale: the last ${intent} was ${age} ago, wanted every ${spanOf(staleAfter(product))}`;
  },
  unseen_drift: ({ run, age, product, inputs }) =>
    `nobody looked for drift ${run ? `for ${age}` : "yet"}${openDrift(product.product_id, inputs)}`,
  healthy: ({ intent, age }) => `healthy: the last ${intent} succeeded ${age} ago`,
};

function whyOf(candidate: Candidate, inputs: PlanInputs): string {
  const age = spanOf(Date.parse(inputs.as_of) - candidate.sinceMs);
  return WORDS[candidate.why]({ ...candidate, age, inputs });
}

function failedWords({ intent, run, age }: Parameters<Said>[0]): string {
  return `the last ${intent} failed ${age} ago${run?.failure ? ` (${run.failure})` : ""}`;
}

function openDrift(productId: string, { open_drift: drift }: PlanInputs): string {
  const open = drift.find((found) => found.product_id === productId);
  return open ? `; ${open.findings} found before, open since ${open.since}` : "";
}

const MINUTE_MS = 60_000;

/** Two units at most; a moment ago, and what a clock has put into the future, is 0m. */
function spanOf(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / MINUTE_MS));
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours}h` : `${hours}h ${minutes % 60}m`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days}d` : `${days}d ${hours % 24}h`;
}
