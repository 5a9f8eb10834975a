/**
 * Detects a worker that is connected but claims nothing. BullMQ has had several such hangs after lost connections
 * (its issues 4479, 4585); restarting the process has always fixed them.
 */
import type { Queue } from "bullmq";
import type { Consumer } from "./consumer.ts";

export interface WatchdogOptions {
  readonly getQueue: (name: string) => Queue;
  readonly consumers: ReadonlySet<Consumer>;
  readonly onStuck: (queue: string, sentence: string) => void;
  readonly stuckMs?: number | undefined;
}

const STUCK_MS = 30_000;
const CHECKS_PER_PERIOD = 3;

/** Starts the checks; returns a function that stops them. The timer does not keep the process alive. */
export function startWatchdog(options: WatchdogOptions): () => void {
  const { getQueue, consumers, onStuck, stuckMs = STUCK_MS } = options;
  const suspects = new Map<Consumer, number>();
  let checking = false;

  const timer = setInterval(() => void check(), stuckMs / CHECKS_PER_PERIOD).unref();
  return () => clearInterval(timer);

  async function check(): Promise<void> {
    if (checking) return;
    checking = true;
    for (const consumer of consumers) {
      const stuck = await isStuck(consumer, getQueue(consumer.queue), stuckMs).catch(() => false);
      const since = stuck ? (suspects.get(consumer) ?? performance.now()) : undefined;
      if (since === undefined) suspects.delete(consumer);
      else suspects.set(consumer, since);
      if (since !== undefined && performance.now() - since >= stuckMs) {
        onStuck(consumer.queue, `Queue ${consumer.queue} has work, but nothing was claimed for ${stuckMs} ms.`);
      }
    }
    checking = false;
  }
}

/** Work is waiting or overdue, no worker anywhere is processing it, and this worker, which could, does nothing. */
async function isStuck(consumer: Consumer, queue: Queue, stuckMs: number): Promise<boolean> {
  if (consumer.paused || consumer.running > 0 || performance.now() - consumer.claimedAt < stuckMs / CHECKS_PER_PERIOD)
    return false;
  const { active = 0, waiting = 0, prioritized = 0 } = await queue.getJobCounts("active", "waiting", "prioritized");
  if (active > 0) return false;
  const overdue = waiting + prioritized > 0 ? 0 : await queue.getDelayedCount(Date.now() - stuckMs);
  return waiting + prioritized + overdue > 0 && !(await queue.isPaused());
}
