/** Runs queue definitions. Only this folder knows that BullMQ exists. */
import type { BulkJobOptions, JobState, Queue } from "bullmq";
import type { QueueDefinition } from "../../queues/define.ts";
import type { Schedule } from "../../schedules/define.ts";
import { inBatches } from "../domain/batches.ts";
import { FleetError, parseInput } from "../domain/errors.ts";
import { openBackend, type BackendOptions } from "./backend.ts";
import { BACKOFF, openConsumer, type JobHandler, type Consumer } from "./consumer.ts";
import { applyToQueue, readSchedulers, type AppliedSchedules, type Scheduler } from "./schedules.ts";
import { startWatchdog } from "./watchdog.ts";
import { withTimeout } from "../domain/abort.ts";

export { migrateQueueBackend } from "./backend.ts";
export type { Consumer } from "./consumer.ts";
export type { AppliedSchedules, Scheduler } from "./schedules.ts";

export interface QueuedJob {
  readonly queue: QueueDefinition;
  readonly payload: unknown;
  readonly delayMs?: number | undefined;
}

export type JobStatus = "missing" | "waiting" | "delayed" | "active" | "completed" | "failed";

export interface QueueDepth {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
  readonly completed: number;
}

export interface BrokerOptions extends Omit<BackendOptions, "prefix"> {
  readonly prefix?: string | undefined;
  /** Called for a worker that claims nothing although there is work: the process should end and be restarted. */
  readonly onStuck?: ((queue: string, sentence: string) => void) | undefined;
  readonly stuckMs?: number | undefined;
  readonly random?: (() => number) | undefined;
}

export interface Broker {
  readonly backend: "redis" | "postgres";
  /** The maximum of PostgreSQL connections this broker takes, for the connection budget; 0 on Redis. */
  readonly databaseConnections: number;
  /**
   * For the outbox relay only: adds jobs to many queues at once. While a job with the same id exists, even finished, the id names
   * that job. A payload that does not fit rejects the whole call before anything is added; `facts.index` is its position.
   */
  addJobs(jobs: readonly QueuedJob[]): Promise<void>;
  consume(queue: QueueDefinition, answer: JobHandler, options?: { concurrency?: number }): Promise<Consumer>;
  getJobStatuses(queue: QueueDefinition, jobIds: readonly string[]): Promise<Map<string, JobStatus>>;
  depth(queue: QueueDefinition): Promise<QueueDepth>;
  /** Sets all schedules: a scheduler that is not listed is removed, in every queue this broker has touched. */
  applySchedules(schedules: readonly Schedule[]): Promise<AppliedSchedules>;
  listSchedulers(queues: readonly QueueDefinition[]): Promise<Scheduler[]>;
  /** Removes finished jobs that are past the queue's retention; BullMQ itself only checks when another job finishes. */
  clean(queue: QueueDefinition): Promise<number>;
  /** From 0 to 1; the relay pauses at 0.75, since a full Redis stops the workers too. */
  memoryPressure(): Promise<number>;
  /** For the queue board, which shows BullMQ's own objects. */
  bullQueues(queues: readonly QueueDefinition[]): Queue[];
  /** Stops claiming; jobs that have not ended after `graceMs` are aborted and handed back to other workers. */
  drain(graceMs?: number): Promise<void>;
  /** Drains, then closes every connection. A second call waits for the first. */
  close(): Promise<void>;
}

const DEFAULT_PREFIX = "fleet";
/** Well below the ten seconds after which PostgreSQL ends a relay that holds its row locks without progress. */
const CALL_TIMEOUT_MS = 5_000;
const CLEAN_BATCH = 1_000;
/** A job is a hint of at most 1 KB: ids only, no prompt, no secret. */
const MAX_PAYLOAD_BYTES = 1_024;
/** How many states are read at once: enough to fill the pipeline, few enough to let workers' commands in between. */
const STATUS_BATCH_SIZE = 100;

export async function openBroker(options: BrokerOptions): Promise<Broker> {
  const onError = reportOnce(options.onError);
  const backend = await openBackend({ ...options, prefix: options.prefix ?? DEFAULT_PREFIX, onError });
  const queues = new Map<string, Queue>();
  const consumers = new Set<Consumer>();
  const getQueue = (name: string) =>
    getOrCreate(queues, name, () => {
      const queue = backend.openQueue(name);
      // BullMQ never retries a failed initialization, so a queue that had one is reopened when it is next requested.
      queue.waitUntilReady().catch(() => queues.delete(name));
      return queue;
    });
  const { onStuck, stuckMs, random = Math.random } = options;
  const stopWatchdog = onStuck ? startWatchdog({ getQueue, consumers, onStuck, stuckMs }) : () => {};

  const drain = async (graceMs?: number) => void (await Promise.all([...consumers].map((it) => it.close(graceMs))));
  let closing: Promise<void> | undefined;

  return {
    backend: backend.name,
    databaseConnections: backend.databaseConnections,

    async addJobs(jobs) {
      const batches = toBatches(jobs);
      await Promise.all([...batches].map(([name, batch]) => callQueue(name, () => getQueue(name).addBulk(batch))));
    },

    async consume(definition, answer, { concurrency } = {}) {
      getQueue(definition.name); // opened here, so that its schedulers are maintained and the watchdog can check it
      const open = () => openConsumer({ backend, definition, handler: answer, concurrency, random });
      const consumer = await callQueue(definition.name, open);
      consumers.add(consumer);
      return consumer;
    },

    getJobStatuses: ({ name }, jobIds) => callQueue(name, () => readJobStatuses(getQueue(name), jobIds)),
    depth: ({ name }) => callQueue(name, () => readDepth(getQueue(name))),
    applySchedules: (schedules) => backend.runExclusive(() => applyAllSchedules(schedules, queues, getQueue)),

    async listSchedulers(definitions) {
      return (
        await Promise.all(definitions.map(({ name }) => callQueue(name, () => readSchedulers(getQueue(name)))))
      ).flat();
    },

    clean: (definition) => callQueue(definition.name, () => clean(getQueue(definition.name), definition)),
    memoryPressure: () => callQueue("backend", () => backend.memoryPressure()),
    bullQueues: (definitions) => definitions.map(({ name }) => getQueue(name)),
    drain,

    close: () =>
      (closing ??= (async () => {
        stopWatchdog();
        await drain();
        await Promise.all([...queues.values()].map((queue) => queue.close().catch(() => {})));
        await backend.close();
      })()),
  };
}

/** The options of a definition that BullMQ takes with each job. */
export function jobOptions(queue: QueueDefinition, payload: unknown): BulkJobOptions {
  const priority = queue.priority(payload);
  return {
    attempts: queue.attempts,
    backoff: { type: BACKOFF, delay: queue.backoffMs },
    removeOnComplete: { count: queue.keepCompleted.count, age: queue.keepCompleted.ageMs / 1_000 },
    removeOnFail: { count: queue.keepFailed.count, age: queue.keepFailed.ageMs / 1_000 },
    sizeLimit: MAX_PAYLOAD_BYTES,
    stackTraceLimit: 3,
    ...(priority > 0 && { priority }),
  };
}

type Batch = { name: string; data: unknown; opts: BulkJobOptions }[];

function toBatches(jobs: readonly QueuedJob[]): Map<string, Batch> {
  const batches = new Map<string, Batch>();
  for (const [index, { queue, payload, delayMs = 0 }] of jobs.entries()) {
    const data = readPayload(queue, payload, index);
    const jobId = assertJobId(queue.jobId(data), queue.name);
    const opts = { ...jobOptions(queue, data), jobId, ...(delayMs > 0 && { delay: Math.round(delayMs) }) };
    getOrCreate(batches, queue.name, () => []).push({ name: queue.name, data, opts });
  }
  return batches;
}

function readPayload(queue: QueueDefinition, payload: unknown, index: number): unknown {
  try {
    return parseInput(queue.payload, payload);
  } catch (cause) {
    if (!(cause instanceof FleetError)) throw cause;
    const facts = { ...cause.facts, queue: queue.name, index };
    throw new FleetError(cause.code, `Job ${index} for queue ${queue.name}: ${cause.message}`, facts, cause);
  }
}

/** BullMQ gives `:` a meaning, numbers its own jobs with integers, and treats an empty id as none. */
function assertJobId(id: string, queue: string): string {
  if (id !== "" && !id.includes(":") && !/^[+-]?\d+$/.test(id)) return id;
  throw new Error(`Queue ${queue} produces the job id "${id}": an id must not be empty, a number, or contain ":".`);
}

async function applyAllSchedules(
  schedules: readonly Schedule[],
  queues: ReadonlyMap<string, Queue>,
  getQueue: (name: string) => Queue,
): Promise<AppliedSchedules> {
  const names = new Set([...schedules.map(({ queue }) => queue.name), ...queues.keys()]);
  const total = { added: 0, changed: 0, removed: 0 };
  for (const name of names) {
    const wanted = schedules.filter(({ queue }) => queue.name === name);
    const toOptions = ({ queue, payload }: Schedule) => jobOptions(queue, parseInput(queue.payload, payload));
    const { added, changed, removed } = await callQueue(name, () => applyToQueue(getQueue(name), wanted, toOptions));
    total.added += added;
    total.changed += changed;
    total.removed += removed;
  }
  return total;
}

async function readJobStatuses(queue: Queue, jobIds: readonly string[]): Promise<Map<string, JobStatus>> {
  const states = await inBatches(jobIds, STATUS_BATCH_SIZE, (id) => queue.getJobState(id));
  return new Map(jobIds.map((id, index) => [id, JOB_STATUSES[states[index] ?? "unknown"]]));
}

const JOB_STATUSES: Readonly<Record<JobState | "unknown", JobStatus>> = {
  waiting: "waiting",
  "waiting-children": "waiting",
  prioritized: "waiting",
  delayed: "delayed",
  active: "active",
  completed: "completed",
  failed: "failed",
  unknown: "missing",
};

async function readDepth(queue: Queue): Promise<QueueDepth> {
  const counts = await queue.getJobCounts("waiting", "prioritized", "active", "delayed", "failed", "completed");
  const { waiting = 0, prioritized = 0, active = 0, delayed = 0, failed = 0, completed = 0 } = counts;
  return { waiting: waiting + prioritized, active, delayed, failed, completed };
}

async function clean(queue: Queue, { keepCompleted, keepFailed }: QueueDefinition): Promise<number> {
  const completed = await queue.clean(keepCompleted.ageMs, CLEAN_BATCH, "completed");
  const failed = await queue.clean(keepFailed.ageMs, CLEAN_BATCH, "failed");
  await queue.getBackend().setQueueMeta(queue.metaValues); // a wiped Redis has lost how many events to retain
  return completed.length + failed.length;
}

/** Bounded, and with our own error: BullMQ waits without limit for a queue that was opened while its store is down. */
async function callQueue<Value>(queue: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await withTimeout(CALL_TIMEOUT_MS, work());
  } catch (cause) {
    if (cause instanceof FleetError) throw cause;
    const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
    throw new FleetError("queue-unavailable", `Queue ${queue} cannot be reached: ${reason}.`, { queue }, cause);
  }
}

function getOrCreate<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** Everything that shares a lost connection reports it, so it is logged only once. */
function reportOnce(onError: (error: Error) => void): (error: Error) => void {
  const reported = new WeakSet<Error>();
  return (error) => {
    if (reported.has(error)) return;
    reported.add(error);
    onError(error);
  };
}
