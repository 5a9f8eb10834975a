/** The planner: derives the orders to run next from the state of the products. It uses no clock and no randomness: equal inputs give equal bytes. */
import { z } from "zod";
import { canonicalJson, uuidFromHash } from "../text/canonical.ts";
import { findCandidates, ExcludedCounts, compareCandidates, type Candidate } from "./candidates.ts";
import { normalisePlanInputs, PlanBudget, PlanSource, type PlanInputs } from "./inputs.ts";
import { toPlannedOrder, PlannedOrder } from "./ranked-order.ts";

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const Plan = z
  .strictObject({
    schema_version: z.literal(1),
    plan_id: z.uuid(),
    tenant_id: z.string(),
    source: PlanSource,
    as_of: z.iso.datetime(),
    wanted: PlanBudget.meta({ description: "how many orders were requested" }),
    candidates: z.int().min(0).meta({ description: "how many orders were possible" }),
    left_out: ExcludedCounts,
    orders: z.array(PlannedOrder).max(1_000).meta({ description: "ordered by urgency, the most urgent first" }),
    input_sha256: Sha256,
    output_sha256: Sha256.meta({ description: "SHA-256 of the canonical JSON of all other fields" }),
  })
  .meta({ id: "plan", description: "Which work orders come next, and why" });
export type Plan = z.infer<typeof Plan>;

export interface PlanResult {
  readonly plan: Plan;
  /** Canonical JSON, which is stored and compared when the plan is recomputed. */
  readonly inputText: string;
  readonly outputText: string;
}

type HashFunction = (text: string) => string;

/** Creates a plan with the best candidates, at most `wanted` of them. */
export function createPlan(given: PlanInputs, sha256: HashFunction): PlanResult {
  const inputs = normalisePlanInputs(given);
  const inputText = JSON.stringify(inputs);
  const inputSha = sha256(inputText);
  const planId = uuidFromHash(inputSha);
  const { candidates, leftOut } = findCandidates(inputs);
  const chosen = selectBest(candidates, inputs.wanted);
  const content = {
    schema_version: 1 as const,
    plan_id: planId,
    tenant_id: inputs.tenant_id,
    source: inputs.source,
    as_of: inputs.as_of,
    wanted: inputs.wanted,
    candidates: candidates.length,
    left_out: leftOut,
    orders: chosen.map((candidate, place) => toPlannedOrder(candidate, place, { inputs, planId, sha256 })),
    input_sha256: inputSha,
  };
  const outputText = canonicalJson(content);
  return { plan: { ...content, output_sha256: sha256(outputText) }, inputText, outputText };
}

/** Returns the first `wanted` candidates in order. To save time, it sorts only those whose score can still make the cut. */
function selectBest(candidates: readonly Candidate[], wanted: number): Candidate[] {
  const counts = new Map<number, number>();
  for (const { score } of candidates) counts.set(score, (counts.get(score) ?? 0) + 1);
  let [least, enough] = [0, 0];
  for (const [score, count] of [...counts].toSorted(([a], [b]) => b - a)) {
    [least, enough] = [score, enough + count];
    if (enough >= wanted) break;
  }
  const possible = candidates.filter(({ score }) => score >= least);
  return possible.toSorted(compareCandidates).slice(0, wanted);
}

export const StoredPlan = z.object({
  id: z.uuid(),
  tenantId: z.string(),
  operatorId: z.string(),
  source: PlanSource,
  asOf: z.date(),
  wanted: z.int(),
  candidates: z.int(),
  inputSha256: z.string(),
  outputSha256: z.string(),
  createdAt: z.date(),
});
export type StoredPlan = z.infer<typeof StoredPlan>;
