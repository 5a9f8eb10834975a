/** Row 10: planning over many products, against what it takes to parse the same inputs. */
import { createHash } from "node:crypto";
import { Intent } from "../../src/domain/orders/order.ts";
import { plan } from "../../src/domain/plan/plan.ts";
import type { PlanInputs, PlanProduct, PlanRun } from "../../src/domain/plan/inputs.ts";
import { Criticality, ProductStatus } from "../../src/domain/product.ts";
import { lineOf, type Line, type LineTerms } from "../line.ts";
import { figure, interleave, ratiosOf, spreadOf } from "../rounds.ts";
import type { Row } from "../row.ts";
import type { World } from "../world.ts";

const HOUR_MS = 3_600_000;
const NOW_MS = Date.parse("2026-05-01T12:00:00.000Z");
const WANTED = 10;

export const planRow: Row = {
  rows: ["10"],
  what: "plan",
  async measure(world) {
    const lines: Line[] = [];
    const shares = new Map<number, number[]>();
    for (const products of [1_000, 10_000, 100_000]) {
      const { line, share } = await measurePlan(world, products);
      lines.push(line);
      shares.set(products, share);
    }
    const said: LineTerms = {
      row: "10",
      what: "plan / JSON.parse, 100,000 products",
      reference: "1,000 products",
      unit: "×",
      // Linear: parsing, which is, gets dearer per product, too, as lists outgrow the processor's caches.
      target: { atMost: 1.5 },
    };
    return [...lines, lineOf(said, shares.get(100_000) ?? [], shares.get(1_000) ?? [])];
  },
};

async function measurePlan(world: World, products: number): Promise<{ line: Line; share: number[] }> {
  const inputs = manyInputs(products);
  const text = JSON.stringify(inputs);
  const often = Math.max(1, Math.round(world.size(20_000, 2_000) / products));
  let orders = 0;
  const samples = await interleave(
    world.rounds,
    async () => each(often, () => (orders = plan(inputs, sha256).plan.orders.length)),
    async () => each(often, () => JSON.parse(text)),
  );
  const [ours, theirs] = [figure(samples.ours, "ms"), figure(samples.theirs, "ms")];
  const said: LineTerms = {
    row: "10",
    what: `plan, ${products.toLocaleString("en-US")} products`,
    reference: "JSON.parse of the same inputs",
    unit: "ms",
    target: { atMost: 6 },
    wrong: orders === WANTED ? [] : [`${orders} orders were planned, not ${WANTED}`],
  };
  return { line: lineOf(said, ours, theirs), share: ratiosOf(ours, theirs) };
}

function each(often: number, work: () => unknown): { ms: number } {
  const taken: number[] = [];
  for (let at = 0; at < often; at += 1) {
    const from = performance.now();
    work();
    taken.push(performance.now() - from);
  }
  return { ms: spreadOf(taken).p50 };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Products of every kind, each with the runs that one has; in no order. */
function manyInputs(count: number): PlanInputs {
  const products: PlanProduct[] = [];
  const runs: PlanRun[] = [];
  for (let at = 0; at < count; at += 1) {
    // Spread over the list, so that nothing comes sorted.
    const n = (at * 7_919) % count;
    const id = `product-${String(n).padStart(6, "0")}`;
    products.push({
      criticality: Criticality.options[n % 3] ?? "low",
      enabled: n % 50 !== 0,
      every_seconds: n % 4 === 0 ? 86_400 : null,
      evidence: { test: ["junit.xml"], validate: [] },
      intents: ["validate", "test"],
      product_id: id,
      sla_tier: 1 + (n % 5),
      status: ProductStatus.options[n % ProductStatus.options.length] ?? "active",
      stopped: n % 100 === 7 ? "on purpose" : null,
      timeout_seconds: 900,
    });
    for (const [place, intent] of Intent.options.slice(0, 3).entries()) {
      runs.push({
        ended_at: new Date(NOW_MS - ((n + place * 13) % 200) * HOUR_MS).toISOString(),
        failure: n % 9 === 0 ? "time_out" : null,
        intent,
        product_id: id,
        run_id: `run-${n}-${place}`,
        status: n % 9 === 0 ? "failed" : "success",
      });
    }
  }
  return {
    as_of: new Date(NOW_MS).toISOString(),
    dossiers: [],
    latest_runs: runs,
    open_drift: [],
    policy_ref: `fleet.yaml#sha256:${"0".repeat(64)}`,
    products,
    schedules: [],
    schema_version: 1,
    source: "state",
    tenant_id: "local",
    wanted: WANTED,
  };
}
