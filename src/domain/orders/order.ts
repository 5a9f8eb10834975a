/** A work order: one bounded action on a product. Its record has the same field names wherever it is written or read. */
import { z } from "zod";
import { Slug } from "../product.ts";

export const Intent = z.enum(["validate", "test", "regenerate_report", "gc_runs", "drift_check", "science_to_design"]);
export type Intent = z.infer<typeof Intent>;

/** Intents that are retried once after a transient failure. Intents that delete or assess are not. */
export const HEALABLE_INTENTS: readonly Intent[] = ["validate", "test"];

export const StopCondition = z.enum([
  "on_validation_fail",
  "on_test_fail",
  "on_missing_evidence",
  "on_drift_detected",
  "on_budget_exceeded",
]);
export type StopCondition = z.infer<typeof StopCondition>;

export const OrderBudget = z.strictObject({
  max_actions: z.int().min(1).max(1_000).meta({ description: "how many commands one try may start" }),
  max_seconds: z
    .int()
    .min(1)
    .max(86_400)
    .optional()
    .meta({ description: "wall-clock time of all its commands together, including a second try" }),
  max_output_bytes: z.int().min(1_024).max(1_073_741_824).optional(),
  max_tokens: z.int().min(0).optional(),
  max_cost_usd: z.number().min(0).optional(),
});
export type OrderBudget = z.infer<typeof OrderBudget>;

export const OrderStatus = z.enum(["pending", "running", "completed", "failed", "skipped"]);
export type OrderStatus = z.infer<typeof OrderStatus>;

export const OrderResult = z.strictObject({
  exit_code: z.int().nullable(),
  started_at: z.iso.datetime().nullable(),
  completed_at: z.iso.datetime(),
  duration_seconds: z.number().min(0),
  evidence_produced: z.array(z.string()),
  error_message: z.string().nullable(),
});
export type OrderResult = z.infer<typeof OrderResult>;

/** What an intent needs to know in addition to the product, such as the dossier of science_to_design. */
const OrderInputs = z.record(z.string().max(64), z.union([z.string().max(2_000), z.number(), z.boolean()]));

export const WorkOrder = z
  .strictObject({
    job_id: z.uuid(),
    product_id: Slug,
    intent: Intent,
    inputs: OrderInputs.default({}),
    budget: OrderBudget,
    stop_conditions: z.array(StopCondition).max(5).default([]),
    priority: z.int().min(0).max(100).meta({ description: "100 runs first" }),
    evidence_expectations: z.array(z.string().min(1).max(200)).max(64).default([]),
    created_at: z.iso.datetime(),
    status: OrderStatus.default("pending"),
    result: OrderResult.nullable().default(null),
    plan_id: z.uuid().nullable().default(null),
    policy_refs: z
      .array(z.string().min(1).max(500))
      .max(32)
      .default([])
      .meta({ description: "files of the policy that it follows" }),
  })
  .meta({ id: "work_order", description: "One bounded, prioritised action on a product" });
export type WorkOrder = z.infer<typeof WorkOrder>;

/** A request for an order, as an operator sends it. Omitted fields have the defaults of the intent. */
export const OrderRequest = z.strictObject({
  productId: Slug,
  intent: Intent,
  inputs: OrderInputs.default({}),
  budget: OrderBudget.partial().default({}),
  stopConditions: z.array(StopCondition).max(5).optional(),
  priority: z.int().min(0).max(100).default(50).meta({ description: "100 runs first" }),
  evidenceExpectations: z.array(z.string().min(1).max(200)).max(64).default([]),
});
export type OrderRequest = z.infer<typeof OrderRequest>;

/** The budget of an order when the request does not set one. */
export const DEFAULT_ORDER_BUDGET: Readonly<Record<Intent, OrderBudget>> = {
  validate: { max_actions: 4, max_seconds: 900, max_output_bytes: 16_777_216 },
  test: { max_actions: 4, max_seconds: 1_800, max_output_bytes: 16_777_216 },
  regenerate_report: { max_actions: 1, max_seconds: 120 },
  gc_runs: { max_actions: 1, max_seconds: 600 },
  drift_check: { max_actions: 1, max_seconds: 300 },
  science_to_design: { max_actions: 1, max_seconds: 120 },
};

/** The default stop conditions. After one of them, the rest of the batch would give no new information. */
export const DEFAULT_STOP_CONDITIONS: Readonly<Record<Intent, readonly StopCondition[]>> = {
  validate: ["on_validation_fail", "on_budget_exceeded"],
  test: ["on_test_fail", "on_budget_exceeded"],
  regenerate_report: [],
  gc_runs: [],
  drift_check: [],
  science_to_design: [],
};

/** Evidence that every successful run has, in addition to the product's own. */
export const EVIDENCE_BY_INTENT: Readonly<Record<Intent, readonly string[]>> = {
  validate: ["last_run.json", "output.log"],
  test: ["last_run.json", "output.log"],
  regenerate_report: ["last_run.json", "report.md"],
  gc_runs: ["last_run.json", "gc.json"],
  drift_check: ["last_run.json", "drift.json"],
  science_to_design: ["last_run.json", "design.md"],
};

export const OrderSource = z.enum(["plan", "schedule", "manual", "push"]);
export type OrderSource = z.infer<typeof OrderSource>;

export const Order = z.object({
  id: z.uuid(),
  tenantId: z.string(),
  operatorId: z.string(),
  productId: z.string(),
  intent: Intent,
  subject: z.string(),
  inputs: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  budget: OrderBudget,
  stopConditions: z.array(StopCondition),
  evidenceExpectations: z.array(z.string()),
  policyRefs: z.array(z.string()),
  priority: z.int(),
  score: z.int(),
  reasons: z.array(z.string()),
  status: OrderStatus,
  /** Why it was skipped, or why it failed. */
  reason: z.string().nullable(),
  source: OrderSource,
  planId: z.uuid().nullable(),
  scheduleId: z.string().nullable(),
  slotAt: z.date().nullable(),
  batchId: z.uuid().nullable(),
  requestedAt: z.date().nullable(),
  attempt: z.int(),
  crashes: z.int(),
  worker: z.string().nullable(),
  host: z.string().nullable(),
  leaseUntil: z.date().nullable(),
  dueAt: z.date().nullable(),
  result: OrderResult.nullable(),
  version: z.int(),
  epoch: z.int(),
  completedAt: z.date().nullable(),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type Order = z.infer<typeof Order>;
