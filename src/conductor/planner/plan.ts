/** Planning: from what is known to orders that wait to be run; stored once, and made again to prove it. */
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
import { gatherInputs, type PlanOptions } from "./inputs.ts";
import { assertNotStopped, getProduct } from "../products/products.ts";

/** How a planned order stands with those there are. */
export interface OrderState {
  readonly jobId: string;
  /** `planned`: nothing stands in its way. `open`: there is one already, or this one runs. `done`: this plan was carried out. */
  readonly state: "planned" | "open" | "done";
  /** The order to look at. */
  readonly orderId: string;
}

export interface PlanWithOrders {
  readonly plan: Plan;
  /** Orders that are new. None the second time, and in a dry run. */
  readonly stored: number;
  readonly standings: readonly OrderState[];
}

export type MakePlanOptions = PlanOptions & { readonly dryRun?: boolean };

/** Orders are stored as pending, and run when somebody asks. A dry run reads, and that is all. */
export async function makePlan(fleet: Fleet, by: Operator, options: MakePlanOptions): Promise<PlanWithOrders> {
  if (options.productId !== undefined) await assertNotStopped(fleet, getProduct(fleet, by.tenantId, options.productId));
  const planned = createPlan(await gatherInputs(fleet, by, options), fleet.sha256);
  const stored = options.dryRun ? 0 : await storePlan(fleet, by, planned);
  return { plan: planned.plan, stored, standings: await readOrderStates(fleet, by, planned.plan) };
}

async function storePlan(
  fleet: Fleet,
  by: Operator,
  { plan: made, inputText, outputText }: PlanResult,
): Promise<number> {
  const packed = await packPlanTexts({ inputs: inputText, output: outputText });
  const owner = { tenantId: by.tenantId, operatorId: by.id };
  const row = {
    ...owner,
    id: made.plan_id,
    source: made.source,
    asOf: new Date(made.as_of),
    wanted: made.wanted,
    candidates: made.candidates,
    inputSha256: made.input_sha256,
    outputSha256: made.output_sha256,
  };
  const orders = made.orders.map(({ order, subject, score, reasons }): NewOrder => ({
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
      const detail = { planId: made.plan_id, outputSha256: made.output_sha256, orders: stored.map(({ id }) => id) };
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
  const found = new Map(known.map((standing) => [standing.jobId, standing]));
  return keys.map(({ job_id: jobId }): OrderState => {
    const { orderId = jobId, status = "pending" } = found.get(jobId) ?? {};
    if (orderId === jobId && status === "pending") return { jobId, state: "planned", orderId };
    return { jobId, state: status === "pending" || status === "running" ? "open" : "done", orderId };
  });
}

/** Newest first; a page is full when there is a next one. */
export async function listPlansFor(
  fleet: Fleet,
  by: Operator,
  page: PlanFilter,
): Promise<{ plans: readonly StoredPlan[]; next: ReturnType<typeof nextPageCursor> }> {
  const rows = await fleet.store.as(by, (tx) => listPlans(tx, { ...page, limit: page.limit + 1 }));
  return { plans: rows.slice(0, page.limit), next: nextPageCursor(rows, page.limit) };
}

/** The document as it was made. Throws "not-found", "ambiguous-name", or "not-verified" when what is kept of it is not what was stored. */
export async function getPlan(fleet: Fleet, by: Operator, name: string): Promise<PlanWithOrders> {
  const { row, texts } = await readPlan(fleet, by, name);
  const output =
    texts.output !== undefined && fleet.sha256(texts.output) === row.outputSha256 ? texts.output : undefined;
  if (output === undefined) {
    throw new FleetError(
      "not-verified",
      `Plan ${row.id} is not what was stored. See how: fleet plan --replay ${row.id}`,
    );
  }
  const made = Plan.parse({ ...readJson(output), output_sha256: row.outputSha256 });
  return { plan: made, stored: 0, standings: await readOrderStates(fleet, by, made) };
}

export interface Replay {
  readonly planId: string;
  readonly holds: boolean;
  readonly checks: readonly { readonly what: string; readonly holds: boolean; readonly why: string | null }[];
}

/** Plans again from the inputs that were kept, and compares hashes and bytes with what was stored then. */
export async function replayPlan(fleet: Fleet, by: Operator, name: string): Promise<Replay> {
  const { row, texts } = await readPlan(fleet, by, name);
  const replayed = replan(fleet, texts.inputs);
  const checks = [
    compareHash("the inputs are those that were stored", hashOf(fleet, texts.inputs), row.inputSha256),
    compareHash("the output is the one that was stored", hashOf(fleet, texts.output), row.outputSha256),
    compareHash("the same inputs are written down the same", replayed?.plan.input_sha256, row.inputSha256),
    compareHash("they make the same plan id", replayed?.plan.plan_id, row.id),
    compareHash("they make the same output", replayed?.plan.output_sha256, row.outputSha256),
    { what: "byte by byte", holds: replayed !== undefined && replayed.outputText === texts.output, why: null },
  ];
  return { planId: row.id, holds: checks.every(({ holds }) => holds), checks };
}

function compareHash(what: string, found: string | undefined, meant: string): Replay["checks"][number] {
  if (found === meant) return { what, holds: true, why: null };
  return { what, holds: false, why: `${found ?? "it cannot be read"}, not ${meant}` };
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

const NAME = /^[0-9a-f-]{4,36}$/;
/** Enough to say which ones a short beginning fits. */
const MAX_MATCHES = 6;

async function readPlan(
  fleet: Fleet,
  by: Operator,
  name: string,
): Promise<{ row: StoredPlan; texts: Partial<PlanTexts> }> {
  return fleet.store.as(by, async (tx) => {
    const matches = NAME.test(name) ? await listPlansByName(tx, name.replaceAll("-", ""), MAX_MATCHES) : [];
    const [row] = matches;
    if (!row) throw new FleetError("not-found", `There is no plan ${name}. See yours: fleet plan --list`);
    if (matches.length > 1) {
      const ids = matches.map(({ id }) => id).join(", ");
      throw new FleetError("ambiguous-name", `${name} fits several plans: ${ids}. Give one more letter.`);
    }
    return { row, texts: await readPlanTexts(tx, row.id) };
  });
}
