/** Schedules at work: which are due, what a slot makes, and what a tick, a push or a person may ask of one. */
import { dueSlot, type ScheduleFacts, type ScheduleFile } from "../domain/schedule.ts";
import { listSchedules, type Schedule } from "../store/schedules.ts";
import { WORKER } from "../store/store.ts";
import type { Fleet } from "./fleet.ts";

export interface DueSchedule {
  readonly schedule: Schedule;
  readonly definition: ScheduleFile;
  /** Orders made for it carry this (`scheduleId`, `slotAt`); whoever makes them says so with noteSlot. */
  readonly slotAt: Date;
}

/** Those of a tenant that are due; in the order of their names. Invalid, disabled and paused ones never are. */
export async function dueSchedules(fleet: Fleet, tenantId: string, asOf: Date): Promise<DueSchedule[]> {
  const schedules = await fleet.store.transaction(WORKER, (tx) => listSchedules(tx, tenantId));
  return schedules.flatMap((schedule) => dueOf(schedule, asOf));
}

function dueOf(schedule: Schedule, asOf: Date): DueSchedule[] {
  const { definition, problems } = schedule;
  if (!definition || problems) return [];
  const slotAt = dueSlot(definition, factsOf(schedule), asOf);
  return slotAt ? [{ schedule, definition, slotAt }] : [];
}

export function factsOf({ enabled, paused, lastSlotAt, createdAt, pushedAt }: Schedule): ScheduleFacts {
  return { enabled, paused: paused !== null, lastSlotAt, since: createdAt, pushedAt };
}
