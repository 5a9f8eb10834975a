/** A product's schedule: what its file says, which slots that makes, and when one is due. All times are UTC; nothing here has a clock. */
import { z } from "zod";
import { DEFAULT_STOP_CONDITIONS, DEFAULT_ORDER_BUDGET, Intent, OrderBudget, StopCondition } from "./order.ts";
import { Slug } from "../product.ts";
import { toSettingsProblems } from "../input-problems.ts";
import { messageOf } from "../errors.ts";

export const Cadence = z.enum(["hourly", "daily", "weekly", "manual", "on_push"]);
export type Cadence = z.infer<typeof Cadence>;

/** What it asks for. Every intent but the one that needs a dossier to work on: that is planned when there is one. */
const ScheduledIntent = Intent.exclude(["science_to_design"]);

export const ScheduledJob = z
  .strictObject({
    intent: ScheduledIntent,
    budget: OrderBudget.optional().meta({ description: "that of the intent when left out" }),
    stop_conditions: z
      .array(StopCondition)
      .max(5)
      .optional()
      .meta({ description: "those of the intent when left out" }),
    priority: z.int().min(0).max(100).default(50).meta({ description: "100 is done first" }),
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
    product_id: Slug.meta({ description: "as in fleet.yaml; the file is called so too" }),
    cadence: Cadence,
    at: z
      .string()
      .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day in UTC, as "02:30"')
      .optional()
      .meta({ description: "UTC; for daily and weekly (on Mondays)" }),
    every: z.int().min(1).max(MAX_MINUTES).optional().meta({ description: "minutes, instead of 60; for hourly" }),
    jobs: z.array(ScheduledJob).min(1).max(5),
    enabled: z.boolean().default(true),
  })
  .superRefine(({ cadence, at, every, jobs }, context) => {
    const refuse = (path: PropertyKey[], message: string) => context.addIssue({ code: "custom", path, message });
    if (at !== undefined && cadence !== "daily" && cadence !== "weekly") {
      refuse(["at"], `is for daily and weekly, not for ${cadence}`);
    }
    if (every !== undefined && cadence !== "hourly") refuse(["every"], `is for hourly, not for ${cadence}`);
    for (const [index, { intent }] of jobs.entries()) {
      if (jobs.findIndex((job) => job.intent === intent) < index) {
        refuse(["jobs", index, "intent"], `${intent} is there twice`);
      }
    }
  })
  .meta({ id: "schedule", description: "When a product is looked after: schedules/<product_id>.json" });
export type ScheduleFile = z.infer<typeof ScheduleFile>;

/** The part that decides when. */
export type Timing = Pick<ScheduleFile, "cadence" | "at" | "every">;

export interface ScheduleProblem {
  /** The field: `jobs[0].budget.max_actions`; empty for the whole file. */
  readonly path: string;
  readonly message: string;
}

export type ParsedSchedule =
  | { readonly ok: true; readonly schedule: ScheduleFile }
  | { readonly ok: false; readonly problems: readonly ScheduleProblem[] };

/** `name` is that of the file, without `.json`: a product has one schedule, found by its name. */
export function parseSchedule(text: string, name: string): ParsedSchedule {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    return { ok: false, problems: [{ path: "", message: `is not JSON: ${messageOf(error)}` }] };
  }
  const parsed = ScheduleFile.safeParse(input);
  if (!parsed.success) return { ok: false, problems: parsed.error.issues.flatMap(toSettingsProblems) };
  const { product_id: productId } = parsed.data;
  if (productId === name) return { ok: true, schedule: parsed.data };
  const message = `${productId} is scheduled in ${productId}.json, not in ${name}.json`;
  return { ok: false, problems: [{ path: "product_id", message }] };
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** The epoch was a Thursday; the first Monday came four days later. */
const FIRST_MONDAY_MS = 4 * DAY_MS;

/** Slots lie at `offsetMs + n * everyMs` since 1970, so no two machines, and no restart, see them elsewhere. */
export interface SlotInterval {
  readonly everyMs: number;
  readonly offsetMs: number;
}

/** Undefined for what the clock never asks for: manual and on_push. */
export function slotIntervalOf({ cadence, at = "00:00", every = 60 }: Timing): SlotInterval | undefined {
  const [hours = 0, minutes = 0] = at.split(":").map(Number);
  const timeOfDay = hours * HOUR_MS + minutes * MINUTE_MS;
  if (cadence === "hourly") return { everyMs: every * MINUTE_MS, offsetMs: 0 };
  if (cadence === "daily") return { everyMs: DAY_MS, offsetMs: timeOfDay };
  if (cadence === "weekly") return { everyMs: 7 * DAY_MS, offsetMs: FIRST_MONDAY_MS + timeOfDay };
  return undefined;
}

/** The slot that `now` lies in: the last one that began. */
export function slotAt(timing: Timing, now: Date): Date | undefined {
  const pace = slotIntervalOf(timing);
  if (!pace) return undefined;
  const { everyMs, offsetMs } = pace;
  return new Date(Math.floor((now.getTime() - offsetMs) / everyMs) * everyMs + offsetMs);
}

/** What is remembered of a schedule between two looks. */
export interface ScheduleFacts {
  readonly enabled: boolean;
  readonly paused: boolean;
  /** Of the slot that was last made, or passed over on purpose. */
  readonly lastSlotAt: Date | null;
  /** Since when there is something to be due: slots before are nobody's. */
  readonly since: Date;
  /** When a push asked last, and was not answered yet. */
  readonly pushedAt: Date | null;
}

/** Of a row as it is kept. */
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
 * The slot to make now, or nothing. However many were missed, the answer is one; a clock that goes back makes none again,
 * and one that went ahead has made it already when its time comes.
 */
export function dueSlot(timing: Timing, facts: ScheduleFacts, now: Date): Date | undefined {
  if (!facts.enabled || facts.paused) return undefined;
  if (timing.cadence === "on_push") return facts.pushedAt ?? undefined;
  const slot = slotAt(timing, now);
  const seen = facts.lastSlotAt ?? slotAt(timing, facts.since);
  return slot && seen && slot > seen ? slot : undefined;
}

/** When it will be due next; undefined when only a person or a push can ask. */
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
  /** Made later: nobody's slot is lost by it. */
  | { readonly do: "wait"; readonly outcome: string }
  /** Over without orders, on purpose. */
  | { readonly do: "pass"; readonly slotAt: Date; readonly outcome: string }
  | { readonly do: "make"; readonly slotAt: Date };

export interface SlotContext {
  /** Why nothing may be made for the product. */
  readonly stopped: string | undefined;
  /** Orders of this schedule that are not over yet. */
  readonly open: number;
}

/** What to do about a schedule now. A slot that would overlap is skipped; a push that would is kept for afterwards. */
export function decideSlot(timing: Timing, facts: ScheduleFacts, context: SlotContext, now: Date): SlotDecision {
  const slot = dueSlot(timing, facts, now);
  if (!slot) return { do: "nothing" };
  if (context.stopped !== undefined) return { do: "pass", slotAt: slot, outcome: `not made: ${context.stopped}` };
  if (context.open === 0) return { do: "make", slotAt: slot };
  const outcome = `${context.open} of its orders ${context.open === 1 ? "is" : "are"} still open`;
  if (timing.cadence === "on_push") return { do: "wait", outcome: `waits: ${outcome}` };
  return { do: "pass", slotAt: slot, outcome: `skipped: ${outcome}` };
}

/** As a cron pattern in UTC, for the queue's clock; undefined when the minutes do not divide an hour. */
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
  /** The file's name without `.json`. */
  id: z.string(),
  tenantId: z.string(),
  operatorId: z.string(),
  productId: z.string(),
  cadence: Cadence.nullable(),
  /** The last one that was valid. */
  definition: ScheduleFile.nullable(),
  file: z.string(),
  sha256: z.string(),
  /** Why the file as it stands is not used. */
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
