/**
 * The planner: what comes first and why, never more than requested, and the same bytes in any input order, time zone
 * and locale.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { canonicalJson, uuidFromHash } from "../../../src/domain/text/canonical.ts";
import { WorkOrder } from "../../../src/domain/orders/order.ts";
import { createPlan, Plan } from "../../../src/domain/plan/plan.ts";
import { PlanInputs } from "../../../src/domain/plan/inputs.ts";
import { PLANNABLE_STATUSES } from "../../../src/domain/product.ts";
import {
  AS_OF,
  aPlanProduct,
  aPlanRun,
  aPlanSchedule,
  arbitraryInputs,
  hoursAgo,
  recentUpkeepRuns,
  sha256,
  someInputs,
} from "./inputs.ts";

const planned = (but: Partial<PlanInputs>) => createPlan(someInputs(but), sha256).plan;
const names = (but: Partial<PlanInputs>) =>
  planned(but).orders.map(({ order }) => `${order.product_id} ${order.intent}`);

const testRun = (product_id: string, hours: number, status: "success" | "failed" = "success") =>
  aPlanRun({ product_id, intent: "test", ended_at: hoursAgo(hours), status });
const wantsReport = (...runs: ReturnType<typeof aPlanRun>[]) =>
  names({ products: [aPlanProduct()], latest_runs: [...runs, ...recentUpkeepRuns().slice(0, 1)] }).includes(
    "shop regenerate_report",
  );
const reportRun = (hours: number, status: "success" | "failed" = "success") =>
  aPlanRun({ intent: "regenerate_report", ended_at: hoursAgo(hours), status });

test("four products with their own checks give exactly as many orders as requested, and each is a valid record", () => {
  const products = ["d", "a", "c", "b"].map((product_id) => aPlanProduct({ product_id }));

  const { orders, candidates, wanted } = planned({ products, wanted: 3 });

  expect(orders.map(({ order }) => [order.product_id, order.intent])).toEqual([
    ["a", "validate"],
    ["b", "validate"],
    ["c", "validate"],
  ]);
  expect(orders.map(({ order }) => WorkOrder.safeParse(order).error)).toEqual([undefined, undefined, undefined]);
  expect({ wanted, candidates }).toEqual({ wanted: 3, candidates: 8 });
});

test("failures come before products that never ran, then dossiers, stale products, and last healthy ones", () => {
  const ids = ["a-well", "b-stale", "c-dossier", "d-new", "e-red", "f-invalid"];
  const products = ids.map((product_id) => aPlanProduct({ product_id, intents: ["test"] }));
  const [well = "", stale = "", dossier = "", , red = "", invalid = ""] = ids;

  const found = names({
    products: [...products.slice(0, 5), aPlanProduct({ product_id: invalid })],
    latest_runs: [
      testRun(well, 1),
      testRun(stale, 30),
      testRun(dossier, 1),
      testRun(red, 1, "failed"),
      aPlanRun({ product_id: invalid, status: "failed" }),
      ...ids.flatMap((id) => recentUpkeepRuns(id)),
    ],
    dossiers: [{ product_id: dossier, dossier_id: "caching", path: "docs/science/caching.md", since: hoursAgo(2) }],
    wanted: 100,
  });

  expect(found).toEqual([
    "f-invalid validate",
    "e-red test",
    "d-new test",
    "c-dossier science_to_design",
    "b-stale test",
    "a-well test",
    "c-dossier test",
  ]);
});

test("among equals, criticality decides, then the SLA tier, then age, then the name", () => {
  const ids = ["b-old", "c-tier-1", "d-high", "e-low", "z-new", "a-new"];

  const found = names({
    products: [
      aPlanProduct({ product_id: "z-new" }),
      aPlanProduct({ product_id: "b-old" }),
      aPlanProduct({ product_id: "a-new" }),
      aPlanProduct({ product_id: "c-tier-1", sla_tier: 2 }),
      aPlanProduct({ product_id: "d-high", criticality: "high", sla_tier: 5 }),
      aPlanProduct({ product_id: "e-low", criticality: "low", sla_tier: 1 }),
    ],
    latest_runs: ids.flatMap((id) =>
      recentUpkeepRuns(id).concat(aPlanRun({ product_id: id, ended_at: hoursAgo(id === "b-old" ? 9 : 5) })),
    ),
  });

  expect(found.map((name) => name.split(" ")[0])).toEqual(["d-high", "c-tier-1", "b-old", "a-new", "z-new", "e-low"]);
});

test.each([
  ["the SLA tier", {}, 25],
  ["its schedule", { every_seconds: 3_600 }, 2],
])("a product is stale when it is older than %s allows, and not before", (_, but, hours) => {
  const because = (age: number) =>
    planned({
      products: [aPlanProduct(but)],
      latest_runs: [...recentUpkeepRuns(), aPlanRun({ ended_at: hoursAgo(age) })],
    }).orders[0]?.reasons[0];

  expect(because(hours)).toContain("stale");
  expect(because(hours - 1.5)).toContain("healthy");
});

test("each order lists the parts of its score", () => {
  const [first] = planned({
    products: [aPlanProduct({ criticality: "high", sla_tier: 2 })],
    latest_runs: [...recentUpkeepRuns(), aPlanRun({ status: "failed", failure: "time_out", ended_at: hoursAgo(3) })],
  }).orders;

  expect(first?.score).toBe(7_340);
  expect(first?.reasons).toEqual([
    "+7000 the last validate failed 3h ago (time_out)",
    "+300 criticality high",
    "+40 SLA tier 2",
  ]);
});

test("open drift is described, and scanned again after a day without a scan; it is never fixed", () => {
  const drift = [{ product_id: "shop", findings: 2, since: hoursAgo(50) }];
  const runs = [aPlanRun(), aPlanRun({ intent: "regenerate_report", ended_at: hoursAgo(0) })];
  const scan = aPlanRun({ intent: "drift_check", ended_at: hoursAgo(48) });

  const { orders } = planned({ products: [aPlanProduct()], latest_runs: [...runs, scan], open_drift: drift });

  expect(orders.map(({ order }) => order.intent)).toEqual(["drift_check", "validate"]);
  expect(orders[0]?.reasons[0]).toBe(`+2000 no drift check for 2d; 2 open findings since ${hoursAgo(50)}`);
});

test("a report is planned when the last run has none", () => {
  expect(wantsReport()).toBe(false);
  expect(wantsReport(aPlanRun())).toBe(true);
  expect(wantsReport(aPlanRun(), reportRun(2))).toBe(true);
  expect(wantsReport(aPlanRun(), reportRun(0))).toBe(false);
  expect(wantsReport(aPlanRun(), reportRun(0, "failed"))).toBe(true);
});

test("of schedules only due ones are planned, with their own budget, priority and file", () => {
  const { orders } = planned({
    source: "schedules",
    products: [aPlanProduct(), aPlanProduct({ product_id: "other" })],
    schedules: [aPlanSchedule()],
  });

  expect(orders).toHaveLength(1);
  expect(orders[0]).toMatchObject({
    schedule_id: "shop",
    slot_at: AS_OF,
    order: {
      product_id: "shop",
      intent: "validate",
      priority: 70,
      budget: { max_actions: 2 },
      policy_refs: [expect.stringMatching(/^fleet.yaml#/), "schedules/shop.json#sha256:1"],
    },
  });
});

test("the budget of a product's checks is what fleet.yaml allows, and their evidence is expected", () => {
  const evidence = { test: ["junit.xml"], validate: [] };
  const product = aPlanProduct({ intents: ["test"], timeout_seconds: 7_200, evidence });

  const [first] = planned({ products: [product] }).orders;

  expect(first?.order.budget.max_seconds).toBe(7_200);
  expect(first?.order.evidence_expectations).toEqual(["last_run.json", "output.log", "junit.xml"]);
});

describe("for any inputs", () => {
  test("the order of the lists changes no byte", () => {
    fc.assert(
      fc.property(arbitraryInputs, fc.integer(), (inputs, seed) => {
        const shuffled = permuted(inputs, seed);
        const [one, other] = [createPlan(inputs, sha256), createPlan(shuffled, sha256)];

        expect(other.outputText).toBe(one.outputText);
        expect(other.inputText).toBe(one.inputText);
        expect(JSON.stringify(other.plan)).toBe(JSON.stringify(one.plan));
      }),
      { numRuns: 300 },
    );
  });

  test("there are never more orders than requested, and as many when there are enough candidates", () => {
    check((inputs) => {
      const { orders, candidates, wanted } = createPlan(inputs, sha256).plan;

      expect(wanted).toBe(inputs.wanted);
      expect(orders).toHaveLength(Math.min(wanted, candidates));
    });
  });

  test("a smaller plan is the beginning of a larger one: candidates are sorted before the list is cut", () => {
    check((inputs) => {
      const of = (wanted: number) =>
        createPlan({ ...inputs, wanted }, sha256).plan.orders.map(({ order, subject, score }) => [
          order.product_id,
          order.intent,
          subject,
          score,
        ]);

      expect(of(inputs.wanted)).toEqual(of(1_000).slice(0, inputs.wanted));
    });
  });

  test("a product that is stopped, disabled or not planned for never appears", () => {
    check((inputs) => {
      const barred = inputs.products
        .filter(({ stopped, enabled, status }) => stopped !== null || !enabled || !PLANNABLE_STATUSES.includes(status))
        .map(({ product_id: id }) => id);
      const { orders, left_out: out } = createPlan({ ...inputs, wanted: 1_000 }, sha256).plan;

      expect(orders.filter(({ order }) => barred.includes(order.product_id))).toEqual([]);
      expect(out.disabled + out.status + out.stopped).toBe(barred.length);
    });
  });

  test("the document is valid, its orders differ, and its texts are canonical and match its hashes", () => {
    check((inputs) => {
      const { plan: made, inputText, outputText } = createPlan(inputs, sha256);
      const ids = made.orders.map(({ order }) => order.job_id);

      expect(Plan.safeParse(made).error).toBeUndefined();
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.toSorted()).toEqual(ids);
      expect(inputText).toBe(canonicalJson(JSON.parse(inputText)));
      expect(made).toMatchObject({ input_sha256: sha256(inputText), output_sha256: sha256(outputText) });
      expect(createPlan(PlanInputs.parse(JSON.parse(inputText)), sha256).outputText).toBe(outputText);
    });
  });
});

test("no time zone and no locale of the machine changes a byte", async () => {
  const places = [
    { TZ: "UTC", LC_ALL: "C" },
    { TZ: "Asia/Kolkata", LC_ALL: "tr_TR.UTF-8" },
    { TZ: "America/St_Johns", LC_ALL: "sv_SE.UTF-8" },
  ];
  const outputs = await Promise.all(places.map((env) => planIn(env)));
  const [hours, hashes] = [outputs.map(([hour]) => hour), outputs.map(([, hash]) => hash)];

  expect(new Set(hours).size).toBe(3);
  expect(new Set(hashes).size).toBe(1);
});

async function planIn(env: Readonly<Record<string, string>>): Promise<string[]> {
  const argv = ["tests/support/run-ts.mjs", "tests/domain/plan/plan-program.ts"];
  const { stdout } = await promisify(execFile)(process.execPath, argv, {
    env: { PATH: "/usr/bin:/bin", LANG: env["LC_ALL"] ?? "C", ...env },
    timeout: 30_000,
  });
  return stdout.trim().split(" ");
}

function check(property: (inputs: PlanInputs) => void): void {
  fc.assert(fc.property(arbitraryInputs, property), { numRuns: 300 });
}

/** Shuffles every list, nested ones too. */
function permuted(inputs: PlanInputs, seed: number): PlanInputs {
  const turn = <Item>(items: readonly Item[]) =>
    items
      .map((item, at) => ({ item, at: sha256(`${seed} ${at}`) }))
      .toSorted((a, b) => (a.at < b.at ? -1 : 1))
      .map(({ item }) => item);
  return {
    ...inputs,
    products: turn(inputs.products).map((product) => Object.assign({}, product, { intents: turn(product.intents) })),
    latest_runs: turn(inputs.latest_runs),
    dossiers: turn(inputs.dossiers),
    open_drift: turn(inputs.open_drift),
    schedules: turn(inputs.schedules).map((schedule) => Object.assign({}, schedule, { jobs: turn(schedule.jobs) })),
  };
}

test("a UUID of version 8 is derived from a hash", () => {
  expect(uuidFromHash("0123456789abcdef0123456789abcdef".repeat(2))).toBe("01234567-89ab-8def-8123-456789abcdef");
});
