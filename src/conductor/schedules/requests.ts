/** Requests about schedules, from operators and from the push hooks of repositories: listing, pausing, resuming, pushes. */
import type { Operator } from "../../domain/operator.ts";
import { toScheduleFacts, slotAt, type Schedule } from "../../domain/orders/schedule.ts";
import { auditBy } from "../../store/operators.ts";
import { findSchedule, listSchedules, setSchedulePause } from "../../store/schedules.ts";
import type { Fleet } from "../fleet.ts";
import { getProduct } from "../products/find.ts";
import { scheduleDifferences, type ScheduleDifference } from "./files.ts";
import { recordPushBy } from "./push.ts";
import { scheduleNotFound, runSchedule, type ScheduleRun } from "./run.ts";

/** A schedule, and how it differs from its file and from the queue. */
export interface ScheduleDetails {
  readonly schedule: Schedule;
  readonly facts: ReturnType<typeof toScheduleFacts>;
  readonly baseBranch: string | undefined;
  readonly differences: readonly string[];
}

export interface ScheduleList {
  readonly schedules: readonly ScheduleDetails[];
  /** Schedules that exist only as a file, or only in the queue. */
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
  "file-gone": () => "its file was removed, and no worker has noticed yet",
  "file-changed": () => "its file has changed, and no worker has read it yet",
  "not-in-queue": (declared) => `the queue has no scheduler for it (${declared})`,
  "other-in-queue": (declared, actual) => `the queue runs it ${actual}, but its file says ${declared}`,
  "only-in-queue": (_, actual) => `the queue still runs it ${actual}`,
};

/** Creates no orders until it is resumed; slots that were due during the pause are skipped. */
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
    await auditBy(tx, by, action, { schedule: id, reason: paused?.reason ?? null });
  });
  return toScheduleDetails(fleet, await getSchedule(fleet, by, id), []);
}

/** Within the operator's tenant. Throws "not-found", also for a schedule of another tenant. */
export async function getSchedule(fleet: Fleet, by: Operator, id: string): Promise<Schedule> {
  const schedule = await fleet.store.as(by, (tx) => findSchedule(tx, { tenantId: by.tenantId, id }));
  if (!schedule) throw scheduleNotFound(id);
  return schedule;
}

/**
 * A push to the product's repository: its on_push schedule runs now. While its orders are open, pushes wait, and all that wait
 * lead to one more run. A product without such a schedule ignores the push.
 */
export async function handlePush(fleet: Fleet, by: Operator, productId: string, sha?: string): Promise<ScheduleRun> {
  const { id } = getProduct(fleet, by.tenantId, productId);
  const key = { tenantId: by.tenantId, id };
  const schedule = await fleet.store.as(by, (tx) => findSchedule(tx, key));
  if (schedule?.definition?.cadence !== "on_push") {
    return { orders: [], slotAt: undefined, outcome: "nothing to do: the product has no on_push schedule" };
  }
  await fleet.store.asSystem((tx) => recordPushBy(fleet, tx, { by, key, sha }));
  return runSchedule(fleet, key);
}
