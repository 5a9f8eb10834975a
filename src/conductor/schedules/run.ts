/** Running schedules: finding those that are due, and creating the orders of a slot after a tick, a push or a request. */
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { EVIDENCE_BY_INTENT, WorkOrder, type OrderSource, type Order } from "../../domain/orders/order.ts";
import { PLANNABLE_STATUSES } from "../../domain/product.ts";
import {
  decideSlot,
  dueSlot,
  toScheduleFacts,
  type ScheduledJob,
  type ScheduleFile,
  type SlotDecision,
  type Schedule,
} from "../../domain/orders/schedule.ts";
import { auditOperator } from "../../store/operators.ts";
import { adoptOrders, countOpenOfSchedule, insertOrders, requestOrders, type NewOrder } from "../../store/orders.ts";
import { listSchedules, lockSchedule, recordSlot, type ScheduleKey } from "../../store/schedules.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import { stopReasonIn } from "../products/kill-switches.ts";
import { ensureSystemOperator } from "../scope.ts";

export interface DueSchedule {
  readonly schedule: Schedule;
  readonly definition: ScheduleFile;
  /** Its orders carry the slot (`scheduleId`, `slotAt`). */
  readonly slotAt: Date;
}

/** Sorted by id. Invalid, disabled and paused schedules are never due. */
export async function dueSchedules(fleet: Fleet, tenantId: string, asOf: Date): Promise<DueSchedule[]> {
  const schedules = await fleet.store.asSystem((tx) => listSchedules(tx, tenantId));
  return schedules.flatMap((schedule) => findDue(schedule, asOf));
}

function findDue(schedule: Schedule, asOf: Date): DueSchedule[] {
  const { definition, problems } = schedule;
  if (!definition || problems) return [];
  const slotAt = dueSlot(definition, toScheduleFacts(schedule), asOf);
  return slotAt ? [{ schedule, definition, slotAt }] : [];
}

export interface ScheduleRun {
  readonly orders: readonly Order[];
  readonly slotAt: Date | undefined;
  readonly outcome: string;
}

/** A tick is a hint: the row's lock protects the decision, so a tick that is late or repeated still creates one slot. */
export async function runSchedule(fleet: Fleet, key: ScheduleKey): Promise<ScheduleRun> {
  const system = await ensureSystemOperator(fleet, key.tenantId);
  const run = await fleet.store.asSystem(async (tx) => {
    const row = await lockSchedule(tx, key);
    if (!row?.definition || row.problems) return idleRun("the schedule does not exist, or is not valid");
    const conditions = {
      stopped: await findStopReason(fleet, tx, row),
      open: await countOpenOfSchedule(tx, key.tenantId, key.id),
    };
    const decision = decideSlot(row.definition, toScheduleFacts(row), conditions, fleet.clock());
    if (decision.do === "nothing") return idleRun("the schedule is not due");
    if (decision.do === "wait") return idleRun(decision.outcome);
    const source = row.definition.cadence === "on_push" ? "push" : "schedule";
    return settleSlot(fleet, tx, { row, by: system, source, decision });
  });
  if (run.orders.length > 0) fleet.kickRelay();
  if (run.slotAt) {
    const facts = { event: "schedule.slot", schedule: key.id, slotAt: run.slotAt, orders: run.orders.length };
    fleet.log.info(facts, run.outcome);
  }
  return run;
}

/** An operator runs it now; its next slot stays the same. Throws when it is invalid or stopped, or has open orders. */
export async function runNow(fleet: Fleet, by: Operator, key: ScheduleKey): Promise<ScheduleRun> {
  const run = await fleet.store.asSystem(async (tx) => {
    const row = await lockSchedule(tx, key);
    if (!row) throw scheduleNotFound(key.id);
    if (!row.definition || row.problems) {
      throw new FleetError("invalid-transition", `${row.file} is not valid. See why: fleet schedules`);
    }
    const stopped = await findStopReason(fleet, tx, row);
    if (stopped !== undefined)
      throw new FleetError("product-stopped", `Product ${row.productId} cannot run: ${stopped}`);
    const open = await countOpenOfSchedule(tx, key.tenantId, key.id);
    if (open > 0) {
      const sentence = `${open} of its orders ${open === 1 ? "is" : "are"} still open. Wait for them: fleet orders`;
      throw new FleetError("invalid-transition", sentence, { schedule: key.id, open });
    }
    const decision = { do: "make", slotAt: fleet.clock() } as const;
    return settleSlot(fleet, tx, { row, by, source: "manual", decision });
  });
  fleet.kickRelay();
  return run;
}

/** Runs schedules whose tick was lost, or came while no worker was running. Undefined when another worker does it. */
export async function sweepSchedules(fleet: Fleet): Promise<number | undefined> {
  return fleet.store.tryWithLock("schedules/due", async () => {
    const schedules = await fleet.store.asSystem((tx) => listSchedules(tx));
    const due = schedules.flatMap((schedule) => findDue(schedule, fleet.clock()));
    let made = 0;
    for (const { schedule } of due) {
      try {
        made += (await runSchedule(fleet, schedule)).orders.length;
      } catch (error) {
        // A schedule that fails must not hold up the others.
        const facts = { event: "schedule.failed", schedule: schedule.id, error: String(error) };
        fleet.log.warn(facts, "schedule could not be run");
      }
    }
    return made;
  });
}

export function scheduleNotFound(id: string): FleetError {
  return new FleetError("not-found", `There is no schedule ${id}. See yours: fleet schedules`, { schedule: id });
}

function idleRun(outcome: string): ScheduleRun {
  return { orders: [], slotAt: undefined, outcome };
}

async function findStopReason(fleet: Fleet, tx: Tx, { productId, tenantId }: Schedule): Promise<string | undefined> {
  const product = fleet.settings.products.find(({ id, tenant }) => id === productId && tenant === tenantId);
  if (!product) return `there is no product ${productId} in fleet.yaml`;
  const stopped = await stopReasonIn(tx, product);
  if (stopped !== undefined) return `the product is stopped: ${stopped}`;
  if (!product.enabled) return "the product is disabled";
  return PLANNABLE_STATUSES.includes(product.status) ? undefined : `the product is ${product.status}`;
}

interface SlotSettlement {
  readonly row: Schedule;
  readonly by: Operator;
  readonly source: OrderSource;
  readonly decision: Exclude<SlotDecision, { do: "nothing" | "wait" }>;
}

/** Stores the slot's orders, their hints and its outcome in one transaction. */
async function settleSlot(fleet: Fleet, tx: Tx, { row, by, source, decision }: SlotSettlement): Promise<ScheduleRun> {
  const { slotAt } = decision;
  const isMade = decision.do === "make";
  const orders = isMade ? await createOrders(fleet, tx, { row, by, source, slotAt }) : [];
  const outcome = isMade ? describeCreated(orders, row.definition?.jobs ?? []) : decision.outcome;
  // A manual run does not count as a slot.
  await recordSlot(tx, row, {
    slotAt: source === "manual" ? null : slotAt,
    ranAt: isMade ? fleet.clock() : null,
    outcome,
  });
  await auditOperator(tx, {
    operatorId: by.id,
    actor: source === "manual" ? by.id : fleet.worker,
    action: isMade ? "schedule.run" : "schedule.passed",
    detail: { schedule: row.id, slotAt: slotAt.toISOString(), outcome, orders: orders.map(({ id }) => id) },
  });
  return { orders, slotAt, outcome };
}

async function createOrders(
  fleet: Fleet,
  tx: Tx,
  { row, by, source, slotAt }: Omit<SlotSettlement, "decision"> & { readonly slotAt: Date },
): Promise<Order[]> {
  const jobs = row.definition?.jobs ?? [];
  const requested = jobs.map((job): NewOrder => {
    const reasons = [source === "manual" ? `requested by ${by.id}` : `${row.definition?.cadence} schedule`];
    return { order: buildOrder(fleet, row, job), source, scheduleId: row.id, slotAt, reasons };
  });
  const owner = { tenantId: row.tenantId, operatorId: by.id };
  const created = await insertOrders(tx, owner, requested);
  const others = jobs.map(({ intent }) => intent).filter((intent) => !created.some((order) => order.intent === intent));
  const adopted = others.length === 0 ? [] : await adoptOrders(tx, row, others, { scheduleId: row.id, slotAt });
  const ids = [...created, ...adopted].map(({ id }) => id);
  return ids.length === 0 ? [] : requestOrders(tx, ids, fleet.newId());
}

function buildOrder(fleet: Fleet, row: Schedule, job: ScheduledJob): WorkOrder {
  return WorkOrder.parse({
    ...job,
    job_id: fleet.newId(),
    product_id: row.productId,
    evidence_expectations: [...EVIDENCE_BY_INTENT[job.intent]],
    created_at: fleet.clock().toISOString(),
    policy_refs: [row.file],
  });
}

function describeCreated(orders: readonly Order[], jobs: readonly ScheduledJob[]): string {
  const made = orders.map(({ intent }) => intent);
  const missing = jobs.map(({ intent }) => intent).filter((intent) => !made.includes(intent));
  const open =
    missing.length > 0 ? `${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} already in progress` : "";
  if (made.length === 0) return `no orders created: ${open}`;
  return [`created ${made.join(", ")}`, open].filter(Boolean).join("; ");
}
