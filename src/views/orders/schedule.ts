/** Schedules as the API returns them: the last and the next run of each, and how it differs from its file. */
import { z } from "zod";
import { Stops } from "../estop.ts";
import {
  Cadence,
  type Schedule,
  type ScheduleFacts,
  type ScheduleFile,
  nextSlot,
} from "../../domain/orders/schedule.ts";
import { toIsoOrNull } from "../fields.ts";

export const ScheduleStatus = z.enum(["on", "paused", "disabled", "invalid"]);
export type ScheduleStatus = z.infer<typeof ScheduleStatus>;

const Time = z.iso.datetime();

export const ScheduleView = z
  .object({
    product: z.string(),
    standing: ScheduleStatus.meta({ description: "invalid: the current file is not used" }),
    cadence: Cadence.nullable(),
    at: z.string().nullable().meta({ description: "Time of day, UTC" }),
    every: z.int().nullable().meta({ description: "Minutes" }),
    jobs: z.array(z.object({ intent: z.string(), priority: z.int() })),
    enabled: z.boolean(),
    paused: z.object({ by: z.string(), at: z.string(), reason: z.string() }).nullable(),
    lastSlot: Time.nullable().meta({ description: "The last slot that ran, or was skipped on purpose" }),
    lastRun: Time.nullable(),
    lastOutcome: z.string().nullable(),
    next: Time.nullable().meta({ description: "In the past: due, and about to run" }),
    pushedAt: Time.nullable().meta({ description: "The push that it will run for" }),
    file: z.string(),
    baseBranch: z.string().nullable(),
    problems: z.array(z.object({ path: z.string(), message: z.string() })),
    differences: z.array(z.string()).meta({ description: "Between file, row and queue" }),
  })
  .meta({ id: "Schedule" });
export type ScheduleView = z.infer<typeof ScheduleView>;

export const SchedulesView = z
  .object({
    at: Time,
    stops: Stops,
    schedules: z.array(ScheduleView),
    strays: z
      .array(z.object({ id: z.string(), what: z.string() }))
      .meta({ description: "Schedules that exist only in a file that no worker has read, or only in the queue" }),
    differences: z.int(),
  })
  .meta({ id: "Schedules" });
export type SchedulesView = z.infer<typeof SchedulesView>;

export const ScheduleRunView = z
  .object({
    product: z.string(),
    outcome: z.string(),
    orders: z.array(z.object({ id: z.uuid(), intent: z.string(), priority: z.int() })),
  })
  .meta({ id: "ScheduleRun" });
export type ScheduleRunView = z.infer<typeof ScheduleRunView>;

export const PauseReason = z.strictObject({
  reason: z.string().trim().min(1, "say why").max(500).meta({ description: "Shown with the schedule" }),
});

export const Push = z.strictObject({
  sha: z
    .string()
    .regex(/^[0-9a-f]{40,64}$/, "must be the full id of a commit")
    .optional(),
});

/** The row of a schedule, and what was found about it. */
export interface ShownSchedule {
  readonly schedule: Schedule;
  readonly facts: ScheduleFacts;
  readonly baseBranch: string | undefined;
  readonly differences: readonly string[];
}

export function viewSchedule({ schedule, facts, baseBranch, differences }: ShownSchedule, now: Date): ScheduleView {
  const { definition, problems, paused, enabled } = schedule;
  const next = definition && !problems ? nextSlot(definition, facts, now) : undefined;
  return {
    product: schedule.productId,
    standing: scheduleStatus(schedule),
    ...viewDefinition(definition),
    enabled,
    paused,
    lastSlot: toIsoOrNull(schedule.lastSlotAt),
    lastRun: toIsoOrNull(schedule.lastRunAt),
    lastOutcome: schedule.lastOutcome,
    next: toIsoOrNull(next),
    pushedAt: toIsoOrNull(schedule.pushedAt),
    file: schedule.file,
    baseBranch: baseBranch ?? null,
    problems: (problems ?? []).map(({ path, message }) => ({ path, message })),
    differences: [...differences],
  };
}

function viewDefinition(definition: ScheduleFile | null): Pick<ScheduleView, "cadence" | "at" | "every" | "jobs"> {
  if (!definition) return { cadence: null, at: null, every: null, jobs: [] };
  const { cadence, at = null, every = null, jobs } = definition;
  return { cadence, at, every, jobs: jobs.map(({ intent, priority }) => ({ intent, priority })) };
}

function scheduleStatus({ problems, paused, enabled }: Schedule): ScheduleStatus {
  if (problems) return "invalid";
  if (paused) return "paused";
  return enabled ? "on" : "disabled";
}
