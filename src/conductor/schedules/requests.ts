/** What people, and the hooks of their repositories, do to schedules: look, pause, resume, and say that something was pushed. */
import type { Operator } from "../../domain/operator.ts";
import { toScheduleFacts, slotAt, type Schedule } from "../../domain/orders/schedule.ts";
import { auditBy } from "../../store/operators.ts";
import { findSchedule, listSchedules, recordPush, setSchedulePause } from "../../store/schedules.ts";
import type { Fleet } from "../fleet.ts";
import { getProduct } from "../products/products.ts";
import { scheduleDifferences, type ScheduleDifference } from "./files.ts";
import { scheduleNotFound, runSchedule, type ScheduleRun } from "./run.ts";

/** A schedule with what is not as its file says; also those that are only in a file, or only in the queue. */
export interface ScheduleDetails {
  readonly schedule: Schedule;
  readonly facts: ReturnType<typeof toScheduleFacts>;
  readonly baseBranch: string | undefined;
  readonly differences: readonly string[];
}

export interface ScheduleList {
  readonly schedules: readonly ScheduleDetails[];
  /** Of schedules that have no row. */
  readonly strays: readonly ScheduleDifference[];
}

export async function listSchedulesFor(fleet: Fleet, by: Operator): Promise<ScheduleList> {
  const [rows, differences] = await Promise.all([
    fleet.store.as(by, (tx) => listSchedules(tx, by.tenantId)),
    scheduleDifferences(fleet, by.tenantId),
  ]);
  const ids = new Set(rows.map(({ id }) => id));
  return {
    schedules: rows.map((schedule) => toScheduleDetails(fleet, schedule, differences)),
    strays: differences.filter(({ id }) => !ids.has(id)),
  };
}

function toScheduleDetails(
  fleet: Fleet,
  schedule: Schedule,
  differences: readonly ScheduleDifference[],
): ScheduleDetails {
  const product = fleet.settings.products.find(({ id }) => id === schedule.productId);
  return {
    schedule,
    facts: toScheduleFacts(schedule),
    baseBranch: product?.baseBranch,
    differences: differences.filter(({ id }) => id === schedule.id).map(describeDifference),
  };
}

export function describeDifference({ what, declared, actual }: ScheduleDifference): string {
  return DIFFERENCE_TEXTS[what](String(declared), String(actual));
}

const DIFFERENCE_TEXTS: Readonly<Record<ScheduleDifference["what"], (declared: string, actual: string) => string>> = {
  "not-read": () => "no worker has read its file yet",
  "file-gone": () => "its file is gone, and no worker has seen that yet",
  "file-changed": () => "its file has changed, and no worker has read it yet",
  "not-in-queue": (declared) => `the queue has no scheduler for it (${declared})`,
  "other-in-queue": (declared, actual) => `the queue ticks ${actual}, its file says ${declared}`,
  "only-in-queue": (_, actual) => `the queue still ticks ${actual}`,
};

/** Nothing is made until it is resumed; what was due meanwhile is not made up. */
export async function pauseScheduleFor(
  fleet: Fleet,
  by: Operator,
  id: string,
  reason: string,
): Promise<ScheduleDetails> {
  const paused = { by: by.id, at: fleet.clock().toISOString(), reason };
  return setPaused(fleet, by, { id, action: "schedule.paused", paused });
}

export async function resumeScheduleFor(fleet: Fleet, by: Operator, id: string): Promise<ScheduleDetails> {
  return setPaused(fleet, by, { id, action: "schedule.resumed", paused: null });
}

interface PauseChange {
  readonly id: string;
  readonly action: string;
  readonly paused: Schedule["paused"];
}

async function setPaused(fleet: Fleet, by: Operator, { id, action, paused }: PauseChange): Promise<ScheduleDetails> {
  const before = await getSchedule(fleet, by, id);
  const key = { tenantId: by.tenantId, id };
  const passedAt = before.paused && before.definition ? slotAt(before.definition, fleet.clock()) : undefined;
  await fleet.store.asSystem(async (tx) => {
    await setSchedulePause(tx, key, paused, passedAt ?? null);
    const detail = { schedule: id, reason: paused?.reason ?? null };
    await auditBy(tx, by, action, detail);
  });
  return toScheduleDetails(fleet, await getSchedule(fleet, by, id), []);
}

/** Of the asker's tenant; of another one it does not exist. */
export async function getSchedule(fleet: Fleet, by: Operator, id: string): Promise<Schedule> {
  const schedule = await fleet.store.as(by, (tx) => findSchedule(tx, { tenantId: by.tenantId, id }));
  if (!schedule) throw scheduleNotFound(id);
  return schedule;
}

/**
 * Something was pushed: an on_push schedule runs now. While its orders are open the push waits, and however many come
 * meanwhile, it runs once more. A product without such a schedule has nothing to do.
 */
export async function handlePush(fleet: Fleet, by: Operator, productId: string, sha?: string): Promise<ScheduleRun> {
  const { id } = getProduct(fleet, by.tenantId, productId);
  const key = { tenantId: by.tenantId, id };
  const schedule = await fleet.store.as(by, (tx) => findSchedule(tx, key));
  if (schedule?.definition?.cadence !== "on_push") {
    return { orders: [], slotAt: undefined, outcome: "nothing to do: no schedule of it waits for pushes" };
  }
  await fleet.store.asSystem(async (tx) => {
    await recordPush(tx, key, fleet.clock());
    const detail = { schedule: id, sha: sha ?? null };
    await auditBy(tx, by, "schedule.pushed", detail);
  });
  return runSchedule(fleet, key);
}
