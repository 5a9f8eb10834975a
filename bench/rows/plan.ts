/** Row 10: planning over many products, compared with parsing the same inputs. */
import { createHash } from "node:crypto";
import { Intent } from "../../src/domain/orders/order.ts";
import { createPlan } from "../../src/domain/plan/plan.ts";
import type { PlanInputs, PlanProduct, PlanRun } from "../../src/domain/plan/inputs.ts";
import { Criticality, ProductStatus } from "../../src/domain/product.ts";
import { toScoreLine, type ScoreLine, type ScoreLineOptions } from "../line.ts";
import { pickFigure, interleave, computeRatios, computePercentiles } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import type { BenchWorld } from "../world.ts";

const HOUR_MS = 3_600_000;
const NOW_MS = Date.parse("2026-05-01T12:00:00.000Z");
const WANTED = 10;

export const planRow: BenchRow = {
  rows: ["10"],
  what: "plan",
  async measure(world) {
    const lines: ScoreLine[] = [];
    const shares = new Map<number, number[]>();
    for (const products of [1_000, 10_000, 100_000]) {
      const { line, share } = await measurePlan(world, products);
      lines.push(line);
      shares.set(products, share);
    }
    const options: ScoreLineOptions = {
      row: "10",
      what: "plan / JSON.parse, 100,000 products",
      reference: "1,000 products",
      unit: "×",
      // Planning is linear. So is parsing, but it gets slower per product too, as lists outgrow the processor's caches.
      target: { atMost: 1.5 },
    };
    return [...lines, toScoreLine(options, shares.get(100_000) ?? [], shares.get(1_000) ?? [])];
  },
};

async function measurePlan(world: BenchWorld, products: number): Promise<{ line: ScoreLine; share: number[] }> {
  const inputs = manyInputs(products);
  const text = JSON.stringify(inputs);
  const repeats = Math.max(1, Math.round(world.size(20_000, 2_000) / products));
  let orders = 0;
  const samples = await interleave(
    world.rounds,
    async () => timeRepeated(repeats, () => (orders = createPlan(inputs, sha256).plan.orders.length)),
    async () => timeRepeated(repeats, () => JSON.parse(text)),
  );
  const [ours, theirs] = [pickFigure(samples.ours, "ms"), pickFigure(samples.theirs, "ms")];
  const options: ScoreLineOptions = {
    row: "10",
    what: `plan, ${products.toLocaleString("en-US")} products`,
    reference: "JSON.parse of the same inputs",
    unit: "ms",
    target: { atMost: 6 },
    wrong: orders === WANTED ? [] : [`${orders} orders were planned, not ${WANTED}`],
  };
  return { line: toScoreLine(options, ours, theirs), share: computeRatios(ours, theirs) };
}

function timeRepeated(repeats: number, work: () => unknown): { ms: number } {
  const taken: number[] = [];
  for (let at = 0; at < repeats; at += 1) {
    const from = performance.now();
    work();
    taken.push(performance.now() - from);
  }
  return { ms: computePercentiles(taken).p50 };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Products of every kind, each with typical runs; unsorted. */
function manyInputs(count: number): PlanInputs {
  const products: PlanProduct[] = [];
  const runs: PlanRun[] = [];
  for (let at = 0; at < count; at += 1) {
    // Spread over the list, so that nothing is sorted by accident.
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
    for (const [index, intent] of Intent.options.slice(0, 3).entries()) {
      runs.push({
        ended_at: new Date(NOW_MS - ((n + index * 13) % 200) * HOUR_MS).toISOString(),
        failure: n % 9 === 0 ? "time_out" : null,
        intent,
        product_id: id,
        run_id: `run-${n}-${index}`,
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
