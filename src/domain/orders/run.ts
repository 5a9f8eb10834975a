/** A run of a work order: the commands it executes, the evidence it must produce, and how its outcome affects the rest of its batch. */
import { z } from "zod";
import { EVIDENCE_BY_INTENT, Intent, type StopCondition } from "./order.ts";
import type { Product } from "../product.ts";

export const Step = z.enum(["setup", "validate", "test"]);
export type Step = z.infer<typeof Step>;

export interface Action {
  readonly step: Step;
  readonly argv: readonly string[];
}

/** Returns the commands of an order in sequence; none when Fleetwright itself carries out the intent. */
export function toActions(intent: Intent, { commands }: Pick<Product, "commands">): Action[] {
  if (intent !== "validate" && intent !== "test") return [];
  const steps: readonly Step[] = ["setup", intent];
  return steps.flatMap((step) => {
    const argv = commands[step];
    return argv ? [{ step, argv }] : [];
  });
}

/** Tells whether the product has the command that the intent needs. */
export function supportsIntent(intent: Intent, { commands }: Pick<Product, "commands">): boolean {
  return intent === "validate" || intent === "test" ? commands[intent] !== undefined : true;
}

/** Returns the names of the evidence that a successful run must have. */
export function requiredEvidence(
  order: { readonly intent: Intent; readonly evidenceExpectations: readonly string[] },
  product: Pick<Product, "evidence">,
): string[] {
  const own = product.evidence
    .filter((one) => one.required && one.of === order.intent)
    .map(({ path }) => evidenceName(path));
  return [...new Set([...EVIDENCE_BY_INTENT[order.intent], ...own, ...order.evidenceExpectations])];
}

/** The name of a piece of evidence is the last part of its path. */
export function evidenceName(path: string): string {
  return path.split("/").findLast((part) => part !== "") ?? path;
}

export interface RunOutcome {
  readonly intent: Intent;
  readonly ok: boolean;
  readonly failure?: string | undefined;
  readonly missing: readonly string[];
  readonly fired?: readonly StopCondition[] | undefined;
}

/** Returns the stop conditions of the order that its run met. If there is one, the rest of the batch is skipped. */
export function metStopConditions(stops: readonly StopCondition[], end: RunOutcome): StopCondition[] {
  const met = new Set<StopCondition>(end.fired);
  if (!end.ok && end.intent === "validate") met.add("on_validation_fail");
  if (!end.ok && end.intent === "test") met.add("on_test_fail");
  if (end.missing.length > 0) met.add("on_missing_evidence");
  if (end.failure === "budget_exceeded") met.add("on_budget_exceeded");
  return stops.filter((stop) => met.has(stop));
}

/** What a run used of its order's budget. */
export const RunSpend = z.object({ actions: z.int(), seconds: z.number(), outputBytes: z.number() });
export type RunSpend = z.infer<typeof RunSpend>;

export const NO_SPEND: RunSpend = { actions: 0, seconds: 0, outputBytes: 0 };

/** The results of a product's tests, read from the JUnit files that its test command wrote. */
export const TestTotals = z.object({
  total: z.int(),
  passed: z.int(),
  failed: z.int(),
  errors: z.int(),
  skipped: z.int(),
  seconds: z.number(),
  /** The names of the first tests that did not pass. */
  failedNames: z.array(z.string()),
  files: z.array(z.string()),
});
export type TestTotals = z.infer<typeof TestTotals>;

/** The known part of a stored summary. Every field is optional, because other versions wrote the JSON. */
export const RunSummary = z.looseObject({
  spent: RunSpend.optional(),
  tests: TestTotals.optional(),
  missing: z.array(z.string()).optional(),
  fired: z.array(z.string()).optional(),
});
export type RunSummary = z.infer<typeof RunSummary>;

export function parseRunSummary(summary: unknown): RunSummary {
  const read = RunSummary.safeParse(summary);
  return read.success ? read.data : {};
}

export const RunStatus = z.enum(["in_progress", "success", "failed", "cancelled"]);
export type RunStatus = z.infer<typeof RunStatus>;

export const Run = z.object({
  id: z.uuid(),
  tenantId: z.string(),
  operatorId: z.string(),
  orderId: z.uuid(),
  productId: z.string(),
  intent: Intent,
  attempt: z.int(),
  host: z.string().nullable(),
  worker: z.string().nullable(),
  status: RunStatus,
  headSha: z.string().nullable(),
  exitCode: z.int().nullable(),
  /** The kind of failure: time_out, killed, budget_exceeded, missing_evidence, … */
  failure: z.string().nullable(),
  message: z.string().nullable(),
  transient: z.boolean(),
  pinned: z.boolean(),
  /** The release this run belongs to; such a run is never collected. */
  release: z.string().nullable(),
  summary: z.record(z.string(), z.unknown()),
  /** The folder of its evidence on its host. */
  dir: z.string().nullable(),
  startedAt: z.date(),
  endedAt: z.date().nullable(),
  /** When gc quarantined it. */
  collectedAt: z.date().nullable(),
});
export type Run = z.infer<typeof Run>;
