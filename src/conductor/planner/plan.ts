/** Plans: computing the orders that the products need, storing them once, and replaying a stored plan to verify it. */
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { createPlan, Plan, type PlanResult, type StoredPlan } from "../../domain/plan/plan.ts";
import { PlanInputs } from "../../domain/plan/inputs.ts";
import { nextPageCursor } from "../../store/keyset.ts";
import { auditBy } from "../../store/operators.ts";
import { insertOrders, type NewOrder } from "../../store/orders.ts";
import {
  insertPlan,
  listPlans,
  listPlansByName,
  listOrdersForSubjects,
  packPlanTexts,
  readPlanTexts,
  type PlanFilter,
  type PlanTexts,
} from "../../store/plans.ts";
import type { Fleet } from "../fleet.ts";
import { oneNamed } from "../name.ts";
import { gatherInputs, type PlanOptions } from "./inputs.ts";
import { getProduct } from "../products/find.ts";
import { assertNotStopped } from "../products/kill-switches.ts";

/** The state of a planned order among the orders that exist. */
export interface OrderState {
  readonly jobId: string;
  /** `planned`: it can be requested. `open`: it runs, or another order for the same subject is open. `done`: it has ended. */
  readonly state: "planned" | "open" | "done";
  /** The order itself, or the open one for the same subject. */
  readonly orderId: string;
}

export interface PlanWithOrders {
  readonly plan: Plan;
  /** The number of new orders: none for a repeated plan or a dry run. */
  readonly stored: number;
  readonly standings: readonly OrderState[];
}

export type MakePlanOptions = PlanOptions & { readonly dryRun?: boolean };

/** Stores the orders as pending; they run when they are requested. A dry run is read-only. */
export async function makePlan(fleet: Fleet, by: Operator, options: MakePlanOptions): Promise<PlanWithOrders> {
  if (options.productId !== undefined) await assertNotStopped(fleet, getProduct(fleet, by.tenantId, options.productId));
  const planned = createPlan(await gatherInputs(fleet, by, options), fleet.sha256);
  const stored = options.dryRun ? 0 : await storePlan(fleet, by, planned);
  return { plan: planned.plan, stored, standings: await readOrderStates(fleet, by, planned.plan) };
}

async function storePlan(fleet: Fleet, by: Operator, { plan, inputText, outputText }: PlanResult): Promise<number> {
  const packed = await packPlanTexts({ inputs: inputText, output: outputText });
  const owner = { tenantId: by.tenantId, operatorId: by.id };
  const row = {
    ...owner,
    id: plan.plan_id,
    source: plan.source,
    asOf: new Date(plan.as_of),
    wanted: plan.wanted,
    candidates: plan.candidates,
    inputSha256: plan.input_sha256,
    outputSha256: plan.output_sha256,
  };
  const orders = plan.orders.map(({ order, subject, score, reasons }): NewOrder => ({
    order,
    source: "plan",
    subject,
    score,
    reasons,
  }));
  return fleet.store.asSystem(async (tx) => {
    const isNew = await insertPlan(tx, row, packed);
    const stored = await insertOrders(tx, owner, orders);
    if (isNew || stored.length > 0) {
      const detail = { planId: plan.plan_id, outputSha256: plan.output_sha256, orders: stored.map(({ id }) => id) };
      await auditBy(tx, by, "plan.made", detail);
    }
    return stored.length;
  });
}

async function readOrderStates(fleet: Fleet, by: Operator, { orders }: Plan): Promise<OrderState[]> {
  const keys = orders.map(({ order: { job_id, product_id, intent }, subject }) => ({
    job_id,
    product_id,
    intent,
    subject,
  }));
  const known = await fleet.store.as(by, (tx) => listOrdersForSubjects(tx, by.tenantId, keys));
  const found = new Map(known.map((order) => [order.jobId, order]));
  return keys.map(({ job_id: jobId }): OrderState => {
    const { orderId = jobId, status = "pending" } = found.get(jobId) ?? {};
    if (orderId === jobId && status === "pending") return { jobId, state: "planned", orderId };
    return { jobId, state: status === "pending" || status === "running" ? "open" : "done", orderId };
  });
}

/** Newest first. */
export async function listPlansFor(
  fleet: Fleet,
  by: Operator,
  page: PlanFilter,
): Promise<{ plans: readonly StoredPlan[]; next: ReturnType<typeof nextPageCursor> }> {
  const rows = await fleet.store.as(by, (tx) => listPlans(tx, { ...page, limit: page.limit + 1 }));
  return { plans: rows.slice(0, page.limit), next: nextPageCursor(rows, page.limit) };
}

/** The document as it was stored. Throws "not-found", "ambiguous-name", and "not-verified" when it was changed since. */
export async function getPlan(fleet: Fleet, by: Operator, name: string): Promise<PlanWithOrders> {
  const { row, texts } = await readPlan(fleet, by, name);
  const output =
    texts.output !== undefined && fleet.sha256(texts.output) === row.outputSha256 ? texts.output : undefined;
  if (output === undefined) {
    throw new FleetError(
      "not-verified",
      `Plan ${row.id} was changed after it was stored. See how: fleet plan --replay ${row.id}`,
    );
  }
  const plan = Plan.parse({ ...readJson(output), output_sha256: row.outputSha256 });
  return { plan, stored: 0, standings: await readOrderStates(fleet, by, plan) };
}

export interface Replay {
  readonly planId: string;
  readonly holds: boolean;
  readonly checks: readonly { readonly what: string; readonly holds: boolean; readonly why: string | null }[];
}

/** Plans again from the stored inputs, and compares hashes and bytes with the stored plan. */
export async function replayPlan(fleet: Fleet, by: Operator, name: string): Promise<Replay> {
  const { row, texts } = await readPlan(fleet, by, name);
  const replayed = replan(fleet, texts.inputs);
  const checks = [
    compareHash("the stored inputs match their hash", hashOf(fleet, texts.inputs), row.inputSha256),
    compareHash("the stored output matches its hash", hashOf(fleet, texts.output), row.outputSha256),
    compareHash("the replayed inputs have the same hash", replayed?.plan.input_sha256, row.inputSha256),
    compareHash("the replay has the same plan id", replayed?.plan.plan_id, row.id),
    compareHash("the replayed output has the same hash", replayed?.plan.output_sha256, row.outputSha256),
    {
      what: "the replayed output is identical byte by byte",
      holds: replayed !== undefined && replayed.outputText === texts.output,
      why: null,
    },
  ];
  return { planId: row.id, holds: checks.every(({ holds }) => holds), checks };
}

function compareHash(what: string, actual: string | undefined, expected: string): Replay["checks"][number] {
  if (actual === expected) return { what, holds: true, why: null };
  return { what, holds: false, why: `${actual ?? "it cannot be read"}, expected ${expected}` };
}

function hashOf(fleet: Fleet, text: string | undefined): string | undefined {
  return text === undefined ? undefined : fleet.sha256(text);
}

function replan(fleet: Fleet, inputText: string | undefined): PlanResult | undefined {
  const inputs = inputText === undefined ? undefined : PlanInputs.safeParse(readJson(inputText));
  return inputs?.success ? createPlan(inputs.data, fleet.sha256) : undefined;
}

function readJson(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

async function readPlan(
  fleet: Fleet,
  by: Operator,
  name: string,
): Promise<{ row: StoredPlan; texts: Partial<PlanTexts> }> {
  return fleet.store.as(by, async (tx) => {
    const row = await oneNamed(name, {
      plural: "plans",
      find: (digits, limit) => listPlansByName(tx, digits, limit),
      describe: ({ id }) => id,
    });
    if (!row) throw new FleetError("not-found", `There is no plan ${name}. See yours: fleet plan --list`);
    return { row, texts: await readPlanTexts(tx, row.id) };
  });
}
