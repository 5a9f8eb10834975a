/** Inputs of the planner for tests: a case over a healthy product; and arbitrary inputs. */
import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { Intent } from "../../../src/domain/orders/order.ts";
import type { PlanInputs, PlanProduct, PlanRun, PlanSchedule } from "../../../src/domain/plan/inputs.ts";
import { Criticality, ProductStatus } from "../../../src/domain/product.ts";

export const AS_OF = "2026-05-01T12:00:00.000Z";
export const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

export function someInputs(overrides: Partial<PlanInputs> = {}): PlanInputs {
  return {
    as_of: AS_OF,
    dossiers: [],
    latest_runs: [],
    open_drift: [],
    policy_ref: `fleet.yaml#sha256:${"0".repeat(64)}`,
    products: [],
    schedules: [],
    schema_version: 1,
    source: "state",
    tenant_id: "local",
    wanted: 10,
    ...overrides,
  };
}

export function aPlanProduct(overrides: Partial<PlanProduct> = {}): PlanProduct {
  return {
    criticality: "medium",
    enabled: true,
    every_seconds: null,
    evidence: { test: [], validate: [] },
    intents: ["validate"],
    product_id: "shop",
    sla_tier: 3,
    status: "active",
    stopped: null,
    timeout_seconds: 900,
    ...overrides,
  };
}

const HOUR_MS = 3_600_000;
export const hoursAgo = (hours: number) => new Date(Date.parse(AS_OF) - hours * HOUR_MS).toISOString();

export function aPlanRun(overrides: Partial<PlanRun> = {}): PlanRun {
  return {
    ended_at: hoursAgo(1),
    failure: null,
    intent: "validate",
    product_id: "shop",
    run_id: "1",
    status: "success",
    ...overrides,
  };
}

/** A product for which no drift scan and no report is due. */
export function recentUpkeepRuns(productId = "shop"): PlanRun[] {
  return (["drift_check", "regenerate_report"] as const).map((intent) =>
    aPlanRun({ intent, product_id: productId, ended_at: hoursAgo(0), run_id: intent }),
  );
}

export function aPlanSchedule(overrides: Partial<PlanSchedule> = {}): PlanSchedule {
  return {
    jobs: [{ budget: { max_actions: 2 }, intent: "validate", priority: 70, stop_conditions: ["on_validation_fail"] }],
    policy_ref: "schedules/shop.json#sha256:1",
    product_id: "shop",
    schedule_id: "shop",
    slot_at: AS_OF,
    ...overrides,
  };
}

const IDS = ["a", "admin", "b-1", "i", "shop", "shop-2", "z_z", "zeta"];
const anId = fc.constantFrom(...IDS);
const aMoment = fc.integer({ min: 0, max: 400 }).map((hours) => hoursAgo(hours));

const arbitraryProducts: fc.Arbitrary<PlanProduct[]> = fc.uniqueArray(
  fc.record({
    criticality: fc.constantFrom(...Criticality.options),
    enabled: fc.boolean(),
    every_seconds: fc.option(fc.integer({ min: 60, max: 604_800 })),
    evidence: fc.record({
      test: fc.uniqueArray(fc.constantFrom("a.xml", "b.xml")),
      validate: fc.constant([]),
    }),
    intents: fc.subarray(["validate", "test"] as const),
    product_id: anId,
    sla_tier: fc.integer({ min: 1, max: 5 }),
    status: fc.constantFrom(...ProductStatus.options),
    stopped: fc.option(fc.constant("the flood"), { freq: 6 }),
    timeout_seconds: fc.integer({ min: 1, max: 86_400 }),
  }),
  { selector: ({ product_id }) => product_id, maxLength: IDS.length },
) as fc.Arbitrary<PlanProduct[]>;

const arbitraryRuns = fc.array(
  fc.record({
    ended_at: aMoment,
    failure: fc.option(fc.constant("time_out")),
    intent: fc.constantFrom(...Intent.options),
    product_id: anId,
    run_id: fc.constantFrom("1", "2", "3"),
    status: fc.constantFrom("success" as const, "failed" as const),
  }),
  { maxLength: 30 },
);

const arbitrarySchedules = fc.array(
  fc.record({
    jobs: fc.uniqueArray(
      fc.record({
        budget: fc.constantFrom({ max_actions: 1 }, { max_seconds: 9, max_actions: 1 }),
        intent: fc.constantFrom(...Intent.options),
        priority: fc.integer({ min: 0, max: 100 }),
        stop_conditions: fc.subarray(["on_test_fail", "on_budget_exceeded"] as const),
      }),
      { selector: ({ intent }) => intent, maxLength: 5 },
    ),
    policy_ref: fc.constant("schedules/x.json#sha256:1"),
    product_id: anId,
    schedule_id: anId,
    slot_at: aMoment,
  }),
  { maxLength: 6 },
) as fc.Arbitrary<PlanSchedule[]>;

export const arbitraryInputs: fc.Arbitrary<PlanInputs> = fc.record({
  as_of: fc.constant(AS_OF),
  dossiers: fc.array(
    fc.record({
      dossier_id: fc.constantFrom("d1", "d2", "d3"),
      path: fc.constantFrom("x.md", "y.md"),
      product_id: anId,
      since: aMoment,
    }),
    { maxLength: 6 },
  ),
  latest_runs: arbitraryRuns,
  open_drift: fc.array(fc.record({ findings: fc.integer({ min: 1, max: 9 }), product_id: anId, since: aMoment }), {
    maxLength: 4,
  }),
  policy_ref: fc.constant("fleet.yaml#sha256:1"),
  products: arbitraryProducts,
  schedules: arbitrarySchedules,
  schema_version: fc.constant(1 as const),
  source: fc.constantFrom("state" as const, "schedules" as const),
  tenant_id: fc.constant("local"),
  wanted: fc.integer({ min: 1, max: 30 }),
});
