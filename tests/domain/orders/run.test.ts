/** The rules of an order's run: its commands, the evidence it requires, and what its end stops. */
import { expect, test } from "vitest";
import { StopCondition } from "../../../src/domain/orders/order.ts";
import { Product } from "../../../src/domain/product.ts";
import {
  toActions,
  supportsIntent,
  metStopConditions,
  evidenceName,
  requiredEvidence,
  parseRunSummary,
} from "../../../src/domain/orders/run.ts";

const product = Product.parse({
  id: "shop",
  repository: "/srv/shop",
  commands: { setup: ["npm", "ci"], test: "npm test" },
  evidence: [{ path: "out/junit.xml" }, { path: "coverage/", of: "validate" }, { path: "notes.txt", required: false }],
});

test("setup comes before the intent's own command; an intent that Fleetwright executes itself has none", () => {
  expect(toActions("test", product).map(({ step }) => step)).toEqual(["setup", "test"]);
  expect(toActions("validate", product).map(({ step }) => step)).toEqual(["setup"]);
  expect(toActions("gc_runs", product)).toEqual([]);
  expect([
    supportsIntent("test", product),
    supportsIntent("validate", product),
    supportsIntent("gc_runs", product),
  ]).toEqual([true, false, true]);
});

test("the required evidence is the intent's own, the product's for it, and what the order expects, each once", () => {
  const order = { intent: "test" as const, evidenceExpectations: ["output.log", "more.json"] };

  expect(requiredEvidence(order, product)).toEqual(["last_run.json", "output.log", "junit.xml", "more.json"]);
  expect(evidenceName("coverage/")).toBe("coverage");
});

test("only the order's own stop conditions apply, each with its reason", () => {
  const all = StopCondition.options;
  const fired = (end: Partial<Parameters<typeof metStopConditions>[1]>, stops = all) =>
    metStopConditions(stops, { intent: "test", ok: false, missing: [], ...end });

  expect(fired({ ok: true })).toEqual([]);
  expect(fired({})).toEqual(["on_test_fail"]);
  expect(fired({ intent: "validate", failure: "budget_exceeded" })).toEqual([
    "on_validation_fail",
    "on_budget_exceeded",
  ]);
  expect(fired({ missing: ["x"] })).toEqual(["on_test_fail", "on_missing_evidence"]);
  expect(fired({ intent: "drift_check", ok: true, fired: ["on_drift_detected"] })).toEqual(["on_drift_detected"]);
  expect(fired({}, ["on_validation_fail"])).toEqual([]);
});

test("a summary of another version is read as far as it is compatible", () => {
  expect(parseRunSummary({ spent: { actions: 1, seconds: 2, outputBytes: 3 }, more: 1 }).spent?.seconds).toBe(2);
  expect(parseRunSummary({ spent: "much" })).toEqual({});
  expect(parseRunSummary(null)).toEqual({});
});
