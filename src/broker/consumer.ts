/** One queue's worker in this process: claims jobs, runs their processor, and hands back in time what it cannot finish. */
import { UnrecoverableError, WaitingError, type Job, type Worker } from "bullmq";
import type { QueueDefinition } from "../../queues/define.ts";
import { FleetError } from "../domain/errors.ts";
import type { Backend, WorkerSettings } from "./contract.ts";
import { settlesWithin, withSignal, withTimeout } from "../domain/abort.ts";

export type JobHandler = (data: unknown, signal: AbortSignal) => Promise<unknown>;

export interface Consumer {
  readonly queue: string;
  /** How many jobs are being processed now. */
  readonly running: number;
  /** When a job was last claimed, in milliseconds of `performance.now()`. */
  readonly claimedAt: number;
  readonly paused: boolean;
  /** Stops claiming; running jobs continue. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Waits `graceMs` for running jobs, then aborts them and hands them back, which takes at most about six seconds more. */
  close(graceMs?: number): Promise<void>;
}

export interface ConsumerOptions {
  readonly backend: Backend;
  readonly definition: QueueDefinition;
  readonly handler: JobHandler;
  readonly concurrency?: number | undefined;
  readonly random: () => number;
}

/**
 * A job of a killed process is run again within lock + check = 7.5 s at worst. The lock is renewed every half of its length, so
 * an event loop may be blocked for three seconds before a second worker takes the job too (its epoch then rejects the first).
 */
const LOCK_MS = 6_000;
const STALLED_CHECK_MS = 1_500;
/** Stalls do not count as attempts: PostgreSQL counts how often a task may crash its workers. */
const MAX_STALLS = 10;
/** How many seconds an idle worker blocks in one read. BullMQ recommends at most ten, so that reconnects work well. */
const DRAIN_DELAY_S = 10;
const READY_TIMEOUT_MS = 4_500;
const MAX_BACKOFF_MS = 120_000;
const GRACE_MS = 5_000;
/** How long a processor may take to react to its signal before its job is handed back without it. */
const ABORT_GRACE_MS = 1_000;
/** A store that is up needs a few milliseconds. */
const CLOSE_TIMEOUT_MS = 750;

const SHUTDOWN = "shutdown";
export const BACKOFF = "full-jitter";

export async function openConsumer(options: ConsumerOptions): Promise<Consumer> {
  const { backend, definition, handler } = options;
  const running = new Set<Promise<void>>();
  let claimedAt = performance.now();

  // There are three named parameters, because BullMQ creates an abort signal only for a processor that takes one.
  const worker = backend.openWorker(
    definition.name,
    (job, token, signal) => {
      claimedAt = performance.now();
      const work = runAttempt({ job, token, signal: signal ?? new AbortController().signal, handler });
      running.add(work);
      return work.finally(() => running.delete(work));
    },
    workerSettings(options),
  );
  worker.on("lockRenewalFailed", (jobIds) => {
    for (const id of jobIds) worker.cancelJob(id, "lock lost");
  });

  try {
    await withTimeout(READY_TIMEOUT_MS, worker.waitUntilReady());
  } catch (error) {
    void closeWorker(worker, running, 0);
    throw error;
  }

  let closing: Promise<void> | undefined;
  return {
    queue: definition.name,
    get running() {
      return running.size;
    },
    get claimedAt() {
      return claimedAt;
    },
    get paused() {
      return worker.isPaused();
    },
    pause: () => stopClaiming(worker),
    async resume() {
      await worker.getBackend().reconnectBlocking();
      await worker.resume();
      claimedAt = performance.now();
    },
    close: (graceMs = GRACE_MS) => (closing ??= closeWorker(worker, running, graceMs)),
  };
}

function workerSettings({ definition, concurrency, random }: ConsumerOptions): WorkerSettings {
  return {
    concurrency: concurrency ?? definition.concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: MAX_STALLS,
    drainDelay: DRAIN_DELAY_S,
    settings: {
      /** A random delay between zero and twice the pause, so that jobs that failed together do not retry together. */
      backoffStrategy: (attemptsMade) =>
        Math.floor(random() * Math.min(MAX_BACKOFF_MS, definition.backoffMs * 2 ** (attemptsMade - 1))),
    },
  };
}

interface JobAttempt {
  readonly job: Job;
  readonly token: string | undefined;
  readonly signal: AbortSignal;
  readonly handler: JobHandler;
}

/** Runs one attempt of a job. An error that a retry cannot fix fails the job at once, with its reason. Results are not stored. */
async function runAttempt({ job, token, signal, handler }: JobAttempt): Promise<void> {
  try {
    await orAbandon(handler(job.data, signal), signal);
  } catch (error) {
    if (signal.aborted && signal.reason === SHUTDOWN) {
      await job.moveToWait(token);
      throw new WaitingError();
    }
    if (error instanceof FleetError && !error.failure.retry) throw new UnrecoverableError(error.message);
    throw error;
  }
}

/** Abandons a processor that ignores the shutdown: its job runs again elsewhere, and its late writes are fenced off. */
function orAbandon(work: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  const abandon = new AbortController();
  signal.addEventListener("abort", () => {
    if (signal.reason === SHUTDOWN) setTimeout(() => abandon.abort(), ABORT_GRACE_MS);
  });
  return withSignal(abandon.signal, work);
}

/** A paused worker still takes the job that its blocking read returns, even one it has just handed back, so that read is ended. */
async function stopClaiming(worker: Worker): Promise<void> {
  await worker.pause(true);
  await worker.getBackend().disconnectBlocking();
}

/** `Worker.close()` waits without limit, and forever when its connection is lost, so every step here is bounded. */
async function closeWorker(worker: Worker, running: ReadonlySet<Promise<void>>, graceMs: number): Promise<void> {
  await settlesWithin(CLOSE_TIMEOUT_MS, stopClaiming(worker));
  if (!(await settlesWithin(graceMs, Promise.allSettled(running)))) {
    worker.cancelAllJobs(SHUTDOWN);
    await settlesWithin(ABORT_GRACE_MS * 2, Promise.allSettled(running));
  }
  const closing = worker.close(running.size > 0);
  if (await settlesWithin(CLOSE_TIMEOUT_MS, closing)) return;
  if (running.size > 0) {
    worker.cancelAllJobs(SHUTDOWN); // also cancels a job that was claimed at the last moment
    await settlesWithin(ABORT_GRACE_MS * 2, closing);
  }
  await settlesWithin(CLOSE_TIMEOUT_MS, worker.getBackend().close(true)); // does not close the shared connection
}
