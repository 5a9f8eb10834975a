/** What the broker may ask of a backend, whichever it is. */
import type { Processor, Queue, Worker, WorkerOptions } from "bullmq";

export type WorkerSettings = Omit<WorkerOptions, "connection" | "prefix">;

/** Queues and workers share its connections; closing one leaves the others open. */
export interface Backend {
  readonly name: "redis" | "postgres";
  /** How many connections of `max_connections` one process takes through this backend at most. */
  readonly databaseConnections: number;
  openQueue(name: string): Queue;
  openWorker(name: string, processor: Processor, settings: WorkerSettings): Worker;
  /** Runs the work while no other process runs such work; BullMQ's PostgreSQL functions do not lock schedulers themselves. */
  runExclusive<Result>(work: () => Promise<Result>): Promise<Result>;
  /** How full the store is, 0 to 1; 0 when there is no limit to reach. */
  memoryPressure(): Promise<number>;
  close(): Promise<void>;
}

/** Finished events are only there to be watched live; BullMQ's default of 10,000 a queue is memory for nothing. */
export const MAX_EVENTS = 1_000;
