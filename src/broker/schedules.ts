/** Makes BullMQ's job schedulers match the schedules; any number of workers may call it any number of times. */
import type { JobSchedulerJson, JobSchedulerTemplateOptions, Queue } from "bullmq";
import { isDeepStrictEqual } from "node:util";
import type { Schedule } from "../../schedules/define.ts";

export interface AppliedSchedules {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

export interface Scheduler {
  readonly id: string;
  readonly queue: string;
  readonly everyMs: number | undefined;
  /** Times are in UTC. */
  readonly pattern: string | undefined;
  readonly payload: unknown;
  readonly nextAt: Date | undefined;
}

type ToJobOptions = (schedule: Schedule) => JobSchedulerTemplateOptions;

/** One queue's schedulers. A scheduler whose next job was lost never fires again, so it counts as changed. */
export async function applyToQueue(
  queue: Queue,
  wanted: readonly Schedule[],
  toOptions: ToJobOptions,
): Promise<AppliedSchedules> {
  const found = new Map((await queue.getJobSchedulers()).map((scheduler) => [scheduler.key, scheduler]));
  const ids = new Set(wanted.map(({ id }) => id));
  const removedIds = [...found.keys()].filter((id) => id.startsWith(`${queue.name}/`) && !ids.has(id));
  for (const id of removedIds) await queue.removeJobScheduler(id);

  let added = 0;
  let changed = 0;
  for (const schedule of wanted) {
    const scheduler = found.get(schedule.id);
    if (scheduler && !differs(schedule, scheduler) && (await isAlive(queue, schedule, scheduler))) continue;
    const opts = toOptions(schedule);
    await queue.upsertJobScheduler(schedule.id, toRepeatOptions(schedule), {
      name: queue.name,
      data: schedule.payload,
      opts,
    });
    if (scheduler) changed += 1;
    else added += 1;
  }
  return { added, changed, removed: removedIds.length };
}

export async function readSchedulers(queue: Queue): Promise<Scheduler[]> {
  const schedulers = await queue.getJobSchedulers();
  return schedulers.map(({ key, every, pattern, template, next }) => ({
    id: key,
    queue: queue.name,
    everyMs: every,
    pattern,
    payload: template?.data,
    nextAt: next === undefined ? undefined : new Date(next),
  }));
}

function toRepeatOptions({ everyMs, pattern }: Schedule): { every: number } | { pattern: string; tz: string } {
  return pattern === undefined ? { every: everyMs } : { pattern, tz: "UTC" };
}

function differs(schedule: Schedule, { every, pattern, template }: JobSchedulerJson): boolean {
  if (pattern !== schedule.pattern || !isDeepStrictEqual(template?.data, schedule.payload)) return true;
  return pattern === undefined && every !== schedule.everyMs;
}

/** Recreates it at once, so that a lost daily tick is not missed for another day. */
const LATE_MS = 60_000;

/** Checked only when the job is late, because re-adding a job that merely waits would move it to the end of its queue each time. */
async function isAlive(
  queue: Queue,
  { everyMs, pattern }: Schedule,
  { key, next = 0 }: JobSchedulerJson,
): Promise<boolean> {
  if (Date.now() < next + (pattern === undefined ? everyMs : LATE_MS)) return true;
  const state = await queue.getJobState(`repeat:${key}:${next}`);
  return state === "waiting" || state === "active" || state === "delayed" || state === "prioritized";
}
