/** What the broker's contract needs: a backend, separate queues, and processors that record their jobs. */
import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { Redis } from "ioredis";
import { z } from "zod";
import { defineQueue, type QueueDefinition } from "../../queues/define.ts";
import { openBroker, type Broker, type BrokerOptions } from "../../src/broker/broker.ts";
import { parseInput } from "../../src/domain/errors.ts";

/** Opens brokers of one fleet: all with the same store and prefix. */
export type BrokerFactory = (more?: Partial<BrokerOptions>) => Promise<TestBroker>;

/** Where a fleet's jobs are stored, for another process. */
export type BrokerLocation = Pick<BrokerOptions, "redisUrl" | "databaseUrl" | "prefix">;

export interface TestBroker extends Broker, AsyncDisposable {
  readonly errors: Error[];
}

export async function testBroker(options: Omit<BrokerOptions, "onError">): Promise<TestBroker> {
  const errors: Error[] = [];
  const broker = await openBroker({ ...options, onError: (error) => errors.push(error) });
  return Object.assign(broker, { errors, [Symbol.asyncDispose]: () => broker.close() });
}

export const Note = z.strictObject({ note: z.string() });
export type NoteQueue = QueueDefinition<typeof Note>;

/** A queue that no other test uses. */
export function aQueue(overrides: Partial<NoteQueue> = {}): NoteQueue {
  const name = `play-${randomBytes(4).toString("hex")}`;
  return defineQueue({ name, payload: Note, backoffMs: 20, jobId: ({ note }) => `job_${note}`, ...overrides });
}

export function aJob(queue: NoteQueue, note: string, delayMs = 0) {
  return { queue, payload: { note }, delayMs };
}

/** A processor that records its jobs. */
export function recorder() {
  const notes: string[] = [];
  const answer = async (data: unknown) => {
    notes.push(parseInput(Note, data).note);
  };
  return { notes, answer };
}

/** Blocks a processor until the test opens it. */
export function aGate() {
  const gate = new EventEmitter();
  return { opened: once(gate, "open"), open: () => void gate.emit("open") };
}

export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error(`aborted: ${String(signal.reason)}`)));
  });
}

/** Bypasses the broker, as another client of the same Redis. */
export async function onRedis<Result>(url: string, work: (client: Redis) => Promise<Result>): Promise<Result> {
  const client = new Redis(url);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}
