/** Gathers the inputs of a plan. Read-only; a handful of statements, however many products there are. */
import { canonicalJson } from "../../domain/text/canonical.ts";
import type { Operator } from "../../domain/operator.ts";
import type { PlanInputs, PlanProduct, PlanRun, PlanSchedule, PlanSource } from "../../domain/plan/inputs.ts";
import type { Product } from "../../domain/product.ts";
import { slotIntervalOf, type Schedule } from "../../domain/orders/schedule.ts";
import { listWaitingDossiers } from "../../store/dossiers.ts";
import { listOpenDrift } from "../../store/drift.ts";
import { listKillSwitches } from "../../store/kill-switches.ts";
import { listLatestRuns } from "../../store/runs.ts";
import { listSchedules } from "../../store/schedules.ts";
import type { Fleet } from "../fleet.ts";
import { productsOf } from "../products/find.ts";
import { findStop } from "../products/kill-switches.ts";
import { dueSchedules, type DueSchedule } from "../schedules/run.ts";
import type { Run } from "../../domain/orders/run.ts";
import type { Drift } from "../../domain/drift/report.ts";
import type { Dossier } from "../../domain/science/science.ts";

export interface PlanOptions {
  readonly wanted: number;
  readonly source: PlanSource;
  /** Plans for this product only. */
  readonly productId?: string | undefined;
  readonly asOf?: Date | undefined;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The facts are current; ages count from `asOf`, which is the full hour, so that planning again gives the same plan. */
export async function gatherInputs(fleet: Fleet, by: Operator, options: PlanOptions): Promise<PlanInputs> {
  const { tenantId } = by;
  const asOf = options.asOf ?? floorTo(fleet.clock(), options.source === "schedules" ? MINUTE_MS : HOUR_MS);
  const all = productsOf(fleet, tenantId);
  const products = options.productId === undefined ? all : all.filter(({ id }) => id === options.productId);
  const known = await fleet.store.as(by, async (tx) => ({
    runs: await listLatestRuns(tx, tenantId),
    drift: await listOpenDrift(tx, tenantId),
    dossiers: await listWaitingDossiers(tx, tenantId),
    schedules: new Map((await listSchedules(tx, tenantId)).map((found) => [found.productId, found])),
  }));
  const switches = await fleet.store.asSystem((tx) => listKillSwitches(tx, tenantId));
  const due = options.source === "schedules" ? await dueSchedules(fleet, tenantId, asOf) : [];
  const wanted = new Set(products.map(({ id }) => id));
  const isWanted = (item: { readonly product_id: string }) => wanted.has(item.product_id);
  return {
    as_of: asOf.toISOString(),
    dossiers: known.dossiers.flatMap((dossier) => toPlanDossier(dossier)).filter(isWanted),
    latest_runs: known.runs.flatMap((run) => toPlanRun(run)).filter(isWanted),
    open_drift: countDrift(known.drift).filter(isWanted),
    policy_ref: `fleet.yaml#sha256:${fleet.sha256(canonicalJson(sortedById(products)))}`,
    products: products.map((product) =>
      toPlanProduct(product, findStop(product, switches)?.reason, known.schedules.get(product.id)),
    ),
    schedules: due.map((found) => toPlanSchedule(found)).filter(isWanted),
    schema_version: 1,
    source: options.source,
    tenant_id: tenantId,
    wanted: options.wanted,
  };
}

function floorTo(at: Date, toMs: number): Date {
  return new Date(Math.floor(at.getTime() / toMs) * toMs);
}

function sortedById(products: readonly Product[]): Product[] {
  return products.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

function toPlanProduct(product: Product, stopped: string | undefined, schedule: Schedule | undefined): PlanProduct {
  const { commands, ci } = product;
  return {
    criticality: product.criticality,
    enabled: product.enabled,
    every_seconds: everySeconds(schedule),
    evidence: { test: requiredEvidence(product, "test"), validate: requiredEvidence(product, "validate") },
    intents: [...(commands.validate ? ["validate" as const] : []), ...(commands.test ? ["test" as const] : [])],
    product_id: product.id,
    sla_tier: product.slaTier,
    status: product.status,
    stopped: stopped ?? null,
    timeout_seconds: Math.ceil(ci.timeoutMinutes * 60),
  };
}

/** Evidence is stored under the last part of its path. */
function requiredEvidence({ evidence }: Product, of: "validate" | "test"): string[] {
  const own = evidence.filter((file) => file.of === of && file.required);
  return own.map(({ path }) => (path.split("/").at(-1) ?? path).slice(0, 200));
}

function everySeconds(schedule: Schedule | undefined): number | null {
  if (!schedule?.definition || !schedule.enabled || schedule.paused) return null;
  const pace = slotIntervalOf(schedule.definition);
  return pace ? Math.ceil(pace.everyMs / 1_000) : null;
}

function toPlanRun({ productId, intent, id, status, failure, endedAt }: Run): PlanRun[] {
  if (endedAt === null || (status !== "success" && status !== "failed")) return [];
  return [{ ended_at: endedAt.toISOString(), failure, intent, product_id: productId, run_id: id, status }];
}

function toPlanDossier({ dossierId, path, productId, statusSince }: Dossier): PlanInputs["dossiers"] {
  if (dossierId === null) return [];
  return [{ dossier_id: dossierId, path, product_id: productId, since: statusSince.toISOString() }];
}

function countDrift(drift: readonly Drift[]): PlanInputs["open_drift"] {
  const counted = new Map<string, { findings: number; since: string }>();
  for (const { productId, since } of drift) {
    if (productId === null) continue;
    const at = since.toISOString();
    const before = counted.get(productId);
    counted.set(productId, {
      findings: (before?.findings ?? 0) + 1,
      since: before && before.since < at ? before.since : at,
    });
  }
  return [...counted].map(([id, { findings, since }]) => ({ findings, product_id: id, since }));
}

function toPlanSchedule({ schedule, definition, slotAt }: DueSchedule): PlanSchedule {
  return {
    jobs: definition.jobs,
    policy_ref: `schedules/${schedule.id}.json#sha256:${schedule.sha256}`,
    product_id: schedule.productId,
    schedule_id: schedule.id,
    slot_at: slotAt.toISOString(),
  };
}
