/** A product's schedule: its file format, its time slots, and when one is due. All times are UTC, and the current time is an argument. */
import { z } from "zod";
import { DEFAULT_STOP_CONDITIONS, DEFAULT_ORDER_BUDGET, Intent, OrderBudget, StopCondition } from "./order.ts";
import { Slug } from "../product.ts";
import { toSettingsProblems } from "../input-problems.ts";
import { messageOf } from "../errors.ts";

export const Cadence = z.enum(["hourly", "daily", "weekly", "manual", "on_push"]);
export type Cadence = z.infer<typeof Cadence>;

/** Every intent can be scheduled except science_to_design, which needs a dossier and is planned when there is one. */
const ScheduledIntent = Intent.exclude(["science_to_design"]);

export const ScheduledJob = z
  .strictObject({
    intent: ScheduledIntent,
    budget: OrderBudget.optional().meta({ description: "the default is that of the intent" }),
    stop_conditions: z
      .array(StopCondition)
      .max(5)
      .optional()
      .meta({ description: "the default is those of the intent" }),
    priority: z.int().min(0).max(100).default(50).meta({ description: "100 runs first" }),
  })
  .transform(({ intent, budget, stop_conditions: stops, priority }) => ({
    intent,
    budget: budget ?? DEFAULT_ORDER_BUDGET[intent],
    stop_conditions: stops ?? [...DEFAULT_STOP_CONDITIONS[intent]],
    priority,
  }));
export type ScheduledJob = z.infer<typeof ScheduledJob>;

const MAX_MINUTES = 10_080;

export const ScheduleFile = z
  .strictObject({
    $schema: z.string().max(500).optional(),
    schema_version: z.literal(1),
    product_id: Slug.meta({ description: "the product's id in fleet.yaml, and the name of this file" }),
    cadence: Cadence,
    at: z
      .string()
      .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day in UTC, such as "02:30"')
      .optional()
      .meta({ description: "UTC; for daily and weekly (on Mondays)" }),
    every: z
      .int()
      .min(1)
      .max(MAX_MINUTES)
      .optional()
      .meta({ description: "interval in minutes (default 60); for hourly" }),
    jobs: z.array(ScheduledJob).min(1).max(5),
    enabled: z.boolean().default(true),
  })
  .superRefine(({ cadence, at, every, jobs }, context) => {
    const refuse = (path: PropertyKey[], message: string) => context.addIssue({ code: "custom", path, message });
    if (at !== undefined && cadence !== "daily" && cadence !== "weekly") {
      refuse(["at"], `applies to daily and weekly, not to ${cadence}`);
    }
    if (every !== undefined && cadence !== "hourly") refuse(["every"], `applies to hourly, not to ${cadence}`);
    for (const [index, { intent }] of jobs.entries()) {
      if (jobs.findIndex((job) => job.intent === intent) < index) {
        refuse(["jobs", index, "intent"], `${intent} is listed twice`);
      }
    }
  })
  .meta({ id: "schedule", description: "When a product is maintained: schedules/<product_id>.json" });
export type ScheduleFile = z.infer<typeof ScheduleFile>;

/** The part of a schedule that determines when it is due. */
export type Timing = Pick<ScheduleFile, "cadence" | "at" | "every">;

export interface ScheduleProblem {
  /** The path of the field, such as `jobs[0].budget.max_actions`; empty for the whole file. */
  readonly path: string;
  readonly message: string;
}

export type ParsedSchedule =
  | { readonly ok: true; readonly schedule: ScheduleFile }
  | { readonly ok: false; readonly problems: readonly ScheduleProblem[] };

/** `name` is the file's name without `.json`. It must equal the product's id, so that a product has one schedule. */
export function parseSchedule(text: string, name: string): ParsedSchedule {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    return { ok: false, problems: [{ path: "", message: `is not valid JSON: ${messageOf(error)}` }] };
  }
  const parsed = ScheduleFile.safeParse(input);
  if (!parsed.success) return { ok: false, problems: parsed.error.issues.flatMap(toSettingsProblems) };
  const { product_id: productId } = parsed.data;
  if (productId === name) return { ok: true, schedule: parsed.data };
  const message = `the schedule of ${productId} belongs in ${productId}.json, not in ${name}.json`;
  return { ok: false, problems: [{ path: "product_id", message }] };
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** The epoch was a Thursday; the first Monday came four days later. */
const FIRST_MONDAY_MS = 4 * DAY_MS;

/** Slots start at `offsetMs + n * everyMs` since 1970, so that they are the same on every machine and after every restart. */
export interface SlotInterval {
  readonly everyMs: number;
  readonly offsetMs: number;
}

/** Returns undefined for cadences without time slots: manual and on_push. */
export function slotIntervalOf({ cadence, at = "00:00", every = 60 }: Timing): SlotInterval | undefined {
  const [hours = 0, minutes = 0] = at.split(":").map(Number);
  const timeOfDay = hours * HOUR_MS + minutes * MINUTE_MS;
  if (cadence === "hourly") return { everyMs: every * MINUTE_MS, offsetMs: 0 };
  if (cadence === "daily") return { everyMs: DAY_MS, offsetMs: timeOfDay };
  if (cadence === "weekly") return { everyMs: 7 * DAY_MS, offsetMs: FIRST_MONDAY_MS + timeOfDay };
  return undefined;
}

/** Returns the start of the slot that contains `now`. */
export function slotAt(timing: Timing, now: Date): Date | undefined {
  const pace = slotIntervalOf(timing);
  if (!pace) return undefined;
  const { everyMs, offsetMs } = pace;
  return new Date(Math.floor((now.getTime() - offsetMs) / everyMs) * everyMs + offsetMs);
}

/** The state of a schedule between two checks. */
export interface ScheduleFacts {
  readonly enabled: boolean;
  readonly paused: boolean;
  /** The last slot that was processed, or skipped on purpose. */
  readonly lastSlotAt: Date | null;
  /** When the schedule came into effect: earlier slots are not made up for. */
  readonly since: Date;
  /** When the last push arrived that was not processed yet. */
  readonly pushedAt: Date | null;
}

/** Takes the facts from a stored row. */
export function toScheduleFacts(row: {
  readonly enabled: boolean;
  readonly paused: object | null;
  readonly lastSlotAt: Date | null;
  readonly createdAt: Date;
  readonly pushedAt: Date | null;
}): ScheduleFacts {
  const { enabled, paused, lastSlotAt, createdAt, pushedAt } = row;
  return { enabled, paused: paused !== null, lastSlotAt, since: createdAt, pushedAt };
}

/**
 * Returns the slot to process now, if any. After several missed slots only the last one is processed. When the clock is set
 * back, no slot is processed twice; when it ran ahead, the slot is not processed again when its time comes.
 */
export function dueSlot(timing: Timing, facts: ScheduleFacts, now: Date): Date | undefined {
  if (!facts.enabled || facts.paused) return undefined;
  if (timing.cadence === "on_push") return facts.pushedAt ?? undefined;
  const slot = slotAt(timing, now);
  const seen = facts.lastSlotAt ?? slotAt(timing, facts.since);
  return slot && seen && slot > seen ? slot : undefined;
}

/** Returns when the schedule is due next; undefined when only a person or a push can trigger it. */
export function nextSlot(timing: Timing, facts: ScheduleFacts, now: Date): Date | undefined {
  const pace = slotIntervalOf(timing);
  if (!pace || !facts.enabled || facts.paused) return undefined;
  const due = dueSlot(timing, facts, now);
  if (due) return due;
  const after = facts.lastSlotAt && facts.lastSlotAt > now ? facts.lastSlotAt : now;
  const slot = slotAt(timing, after);
  return slot && new Date(slot.getTime() + pace.everyMs);
}

export type SlotDecision =
  | { readonly do: "nothing" }
  /** The slot stays due and is processed later. */
  | { readonly do: "wait"; readonly outcome: string }
  /** The slot is skipped on purpose, without orders. */
  | { readonly do: "pass"; readonly slotAt: Date; readonly outcome: string }
  | { readonly do: "make"; readonly slotAt: Date };

export interface SlotContext {
  /** Why no orders may be created for the product. */
  readonly stopped: string | undefined;
  /** How many orders of this schedule have not ended yet. */
  readonly open: number;
}

/** Decides what to do about a schedule now. A slot that would overlap is skipped; a push that would overlap waits. */
export function decideSlot(timing: Timing, facts: ScheduleFacts, context: SlotContext, now: Date): SlotDecision {
  const slot = dueSlot(timing, facts, now);
  if (!slot) return { do: "nothing" };
  if (context.stopped !== undefined) return { do: "pass", slotAt: slot, outcome: `skipped: ${context.stopped}` };
  if (context.open === 0) return { do: "make", slotAt: slot };
  const outcome = `${context.open} of its orders ${context.open === 1 ? "is" : "are"} still open`;
  if (timing.cadence === "on_push") return { do: "wait", outcome: `waits: ${outcome}` };
  return { do: "pass", slotAt: slot, outcome: `skipped: ${outcome}` };
}

/** Converts it to a cron pattern in UTC for the job scheduler; undefined when the minutes do not divide an hour. */
export function toCronPattern(timing: Timing): string | undefined {
  const [hour = 0, minute = 0] = (timing.at ?? "00:00").split(":").map(Number);
  if (timing.cadence === "hourly") return minutesToCron(timing.every ?? 60);
  if (timing.cadence === "daily") return `${minute} ${hour} * * *`;
  if (timing.cadence === "weekly") return `${minute} ${hour} * * 1`;
  return undefined;
}

function minutesToCron(minutes: number): string | undefined {
  if (minutes === 60) return "0 * * * *";
  if (minutes === 1) return "* * * * *";
  return 60 % minutes === 0 ? `*/${minutes} * * * *` : undefined;
}

export const Problem = z.object({ path: z.string(), message: z.string() });

export const Paused = z.object({ by: z.string(), at: z.string(), reason: z.string() });

export const Schedule = z.object({
  /** The name of its file without `.json`. */
  id: z.string(),
  tenantId: z.string(),
  operatorId: z.string(),
  productId: z.string(),
  cadence: Cadence.nullable(),
  /** The last valid content of the file. */
  definition: ScheduleFile.nullable(),
  file: z.string(),
  sha256: z.string(),
  /** Why the current content of the file is not used. */
  problems: z.array(Problem).nullable(),
  enabled: z.boolean(),
  paused: Paused.nullable(),
  lastSlotAt: z.date().nullable(),
  lastRunAt: z.date().nullable(),
  lastOutcome: z.string().nullable(),
  pushedAt: z.date().nullable(),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type Schedule = z.infer<typeof Schedule>;
