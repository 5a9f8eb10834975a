/** The interface between the broker and its backends. */
import type { Processor, Queue, Worker, WorkerOptions } from "bullmq";

export type WorkerSettings = Omit<WorkerOptions, "connection" | "prefix">;

/** Queues and workers share its connections; closing one leaves the others open. */
export interface Backend {
  readonly name: "redis" | "postgres";
  /** The maximum of `max_connections` that one process takes through this backend. */
  readonly databaseConnections: number;
  openQueue(name: string): Queue;
  openWorker(name: string, processor: Processor, settings: WorkerSettings): Worker;
  /** Runs the work while no other process runs such work, because BullMQ's PostgreSQL functions do not lock schedulers themselves. */
  runExclusive<Result>(work: () => Promise<Result>): Promise<Result>;
  /** How full the store is, 0 to 1; 0 when it has no limit. */
  memoryPressure(): Promise<number>;
  close(): Promise<void>;
}

/** Finished events are only for live viewers, so BullMQ's default of 10,000 per queue would waste memory. */
export const MAX_EVENTS = 1_000;
