/** A queue as the board may show it: ids, counts and times, but no payloads, results, logs or errors of jobs. */
import type { ExternalJobUrl, JobStatus, QueueJobJson } from "@bull-board/api/typings/app";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { Job, Queue } from "bullmq";
import { UUID } from "../../domain/text/uuid.ts";

const HIDDEN = "hidden";
/** A failure reason may quote an agent, or a forge that quotes a token; what may be read is in `fleet show`. */
const HIDDEN_REASON = "Hidden, because it may quote an agent. See fleet show and the log of the worker.";
/** Messages of BullMQ itself about a job without a result; they quote nothing. */
const BULLMQ_REASONS = /^(?:job stalled more than allowable limit|Missing lock for job [\w.-]{1,128}\.?)/;
const SHOWN_OPTIONS = new Set([
  "attempts",
  "delay",
  "priority",
  "timestamp",
  "backoff",
  "removeOnComplete",
  "removeOnFail",
]);

/** Wraps the adapter of BullMQ: it returns only what is safe to show, on all routes of the board. */
class RedactingAdapter extends BullMQAdapter {
  override async getJob(id: string): Promise<Job | undefined> {
    const job = await super.getJob(id);
    return job && redactJob(job);
  }

  override async getJobs(statuses: JobStatus[], start?: number, end?: number): Promise<Job[]> {
    return (await super.getJobs(statuses, start, end)).map(redactJob);
  }

  override async getJobLogs(id: string): Promise<string[]> {
    return (await super.getJobLogs(id)).map(() => HIDDEN);
  }

  override async getJobSchedulers(): ReturnType<BullMQAdapter["getJobSchedulers"]> {
    const schedulers = await super.getJobSchedulers();
    for (const { template } of schedulers) {
      if (template) Object.assign(template, { data: redactData(template.data), opts: redactOptions(template.opts) });
    }
    return schedulers;
  }
}

/** `taskPage`: below which path a task is shown. */
export function boardQueue(
  queue: Queue,
  { readOnlyMode, taskPage }: { readonly readOnlyMode: boolean; readonly taskPage: string },
): BullMQAdapter {
  const taskLink = ({ data }: QueueJobJson): ExternalJobUrl | undefined => {
    const id: unknown = new Map(Object.entries(data ?? {})).get("taskId");
    if (typeof id !== "string" || !UUID.test(id)) return undefined;
    return { displayText: `Task ${id.slice(-8)}`, href: `${taskPage}/${id}` };
  };
  const adapter = new RedactingAdapter(queue, { readOnlyMode, allowRetries: !readOnlyMode });
  // The board accepts undefined as no link; only the type of its option does not allow it.
  Object.defineProperty(adapter, "externalJobUrl", { value: taskLink });
  adapter.setFormatter("progress", (progress: unknown) => (typeof progress === "number" ? progress : 0));
  return adapter;
}

/** The same job, which can still be retried or removed, with less data. */
function redactJob(job: Job): Job {
  const toJson = job.toJSON.bind(job);
  return Object.defineProperty(job, "toJSON", { value: () => redactJson(toJson()) });
}

function redactJson(job: ReturnType<Job["toJSON"]>) {
  const { failedReason, stacktrace, deferredFailure } = job;
  return {
    ...job,
    name: redactName(job.name),
    data: redactData(job.data),
    opts: redactOptions(job.opts),
    returnvalue: job.returnvalue === null || job.returnvalue === undefined ? null : HIDDEN,
    failedReason: failedReason ? redactReason(failedReason) : failedReason,
    stacktrace: (stacktrace ?? []).filter(Boolean).length > 0 ? [HIDDEN] : [],
    ...(deferredFailure ? { deferredFailure: redactReason(deferredFailure) } : {}),
  };
}

function redactReason(reason: string): string {
  return BULLMQ_REASONS.exec(reason)?.[0] ?? HIDDEN_REASON;
}

function redactName(name: string): string {
  return /^[\w.:-]{1,128}$/.test(name) ? name : HIDDEN;
}

/** Our own fields are plain strings. */
function redactKey(key: string): string {
  return /^[a-zA-Z]{1,32}$/.test(key) ? key : HIDDEN;
}

/** Jobs contain only ids; if one ever contained more, the board would not show it. */
function redactData(data: unknown): unknown {
  if (typeof data !== "object" || data === null) return HIDDEN;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [redactKey(key), redactField(key, value)]));
}

function redactField(key: string, value: unknown): unknown {
  if (typeof value === "number") return value;
  const isId = typeof value === "string" && /(?:Id|^act)$/.test(key) && /^[\w.-]{1,128}$/.test(value);
  return isId ? value : HIDDEN;
}

/** Numbers, and objects of numbers: attempts, delays, retention. */
function redactOptions(options: unknown): Record<string, unknown> {
  const given = Object.entries(options ?? {}).filter(([key]) => SHOWN_OPTIONS.has(key));
  return Object.fromEntries(given.map(([key, value]: [string, unknown]) => [key, redactOption(value)]));
}

function redactOption(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return redactScalar(value);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [redactKey(key), redactScalar(inner)]));
}

function redactScalar(value: unknown): unknown {
  if (typeof value === "number" || typeof value === "boolean") return value;
  return typeof value === "string" && /^[a-z-]{1,32}$/.test(value) ? value : HIDDEN;
}
