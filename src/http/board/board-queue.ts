/** A queue as the board may see it: ids, counts and times. What a job carries, returned, logged or died of stays behind. */
import type { ExternalJobUrl, JobStatus, QueueJobJson } from "@bull-board/api/typings/app";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { Job, Queue } from "bullmq";

const HIDDEN = "hidden";
/** A reason may quote an agent, or a forge that quotes a token; what we want read is in the task's story. */
const REASON = "Hidden, because it may quote what an agent said. The task's story and the worker's log tell it.";
/** BullMQ's own words about a job that nobody answered; they quote nothing. */
const OWN_REASONS = /^(?:job stalled more than allowable limit|Missing lock for job [\w.-]{1,128}\.?)/;
const OPTIONS = new Set(["attempts", "delay", "priority", "timestamp", "backoff", "removeOnComplete", "removeOnFail"]);
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The adapter reads BullMQ's jobs; this one hands on only what is safe to show, whichever of the board's routes asks. */
class SafeAdapter extends BullMQAdapter {
  override async getJob(id: string): Promise<Job | undefined> {
    const job = await super.getJob(id);
    return job && masked(job);
  }

  override async getJobs(statuses: JobStatus[], start?: number, end?: number): Promise<Job[]> {
    return (await super.getJobs(statuses, start, end)).map(masked);
  }

  override async getJobLogs(id: string): Promise<string[]> {
    return (await super.getJobLogs(id)).map(() => HIDDEN);
  }

  override async getJobSchedulers(): ReturnType<BullMQAdapter["getJobSchedulers"]> {
    const schedulers = await super.getJobSchedulers();
    for (const { template } of schedulers) {
      if (template) Object.assign(template, { data: idsOf(template.data), opts: optionsOf(template.opts) });
    }
    return schedulers;
  }
}

/** `taskPage`: below which path a task is shown. */
export function boardQueue(queue: Queue, readOnlyMode: boolean, taskPage: string): BullMQAdapter {
  const linkOf = ({ data }: QueueJobJson): ExternalJobUrl | undefined => {
    const id: unknown = new Map(Object.entries(data ?? {})).get("taskId");
    if (typeof id !== "string" || !UUID.test(id)) return undefined;
    return { displayText: `Task ${id.slice(-8)}`, href: `${taskPage}/${id}` };
  };
  const adapter = new SafeAdapter(queue, { readOnlyMode, allowRetries: !readOnlyMode });
  // No link is an answer to the board; only the type of its option does not say so.
  Object.defineProperty(adapter, "externalJobUrl", { value: linkOf });
  adapter.setFormatter("progress", (progress: unknown) => (typeof progress === "number" ? progress : 0));
  return adapter;
}

/** The same job, which can still be retried or removed; only what it tells about itself is less. */
function masked(job: Job): Job {
  const whole = job.toJSON.bind(job);
  return Object.defineProperty(job, "toJSON", { value: () => safeJson(whole()) });
}

function safeJson(job: ReturnType<Job["toJSON"]>) {
  const { failedReason, stacktrace, deferredFailure } = job;
  return {
    ...job,
    name: nameOf(job.name),
    data: idsOf(job.data),
    opts: optionsOf(job.opts),
    returnvalue: job.returnvalue === null || job.returnvalue === undefined ? null : HIDDEN,
    failedReason: failedReason ? reasonOf(failedReason) : failedReason,
    stacktrace: (stacktrace ?? []).filter(Boolean).length > 0 ? [HIDDEN] : [],
    ...(deferredFailure ? { deferredFailure: reasonOf(deferredFailure) } : {}),
  };
}

function reasonOf(reason: string): string {
  return OWN_REASONS.exec(reason)?.[0] ?? REASON;
}

function nameOf(name: string): string {
  return /^[\w.:-]{1,128}$/.test(name) ? name : HIDDEN;
}

/** Our own fields are plain words. */
function keyOf(key: string): string {
  return /^[a-zA-Z]{1,32}$/.test(key) ? key : HIDDEN;
}

/** Jobs carry ids only; should one ever carry more, the board does not show it. */
function idsOf(data: unknown): unknown {
  if (typeof data !== "object" || data === null) return HIDDEN;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [keyOf(key), idOf(key, value)]));
}

function idOf(key: string, value: unknown): unknown {
  if (typeof value === "number") return value;
  const isId = typeof value === "string" && /(?:Id|^act)$/.test(key) && /^[\w.-]{1,128}$/.test(value);
  return isId ? value : HIDDEN;
}

/** Numbers, and what is made of numbers: how often, how long, how many are kept. */
function optionsOf(options: unknown): Record<string, unknown> {
  const given = Object.entries(options ?? {}).filter(([key]) => OPTIONS.has(key));
  return Object.fromEntries(given.map(([key, value]: [string, unknown]) => [key, numbersOf(value)]));
}

function numbersOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return plain(value);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [keyOf(key), plain(inner)]));
}

function plain(value: unknown): unknown {
  if (typeof value === "number" || typeof value === "boolean") return value;
  return typeof value === "string" && /^[a-z-]{1,32}$/.test(value) ? value : HIDDEN;
}
