/**
 * Notices a worker that is connected but claims nothing. BullMQ has had several such silences after lost connections
 * (its issues 4479, 4585); a process that is started anew has always cured them.
 */
import type { Queue } from "bullmq";
import type { Consumer } from "./consumer.ts";

export interface WatchdogOptions {
  readonly queueOf: (name: string) => Queue;
  readonly consumers: ReadonlySet<Consumer>;
  readonly onStuck: (queue: string, sentence: string) => void;
  readonly stuckMs?: number | undefined;
}

const STUCK_MS = 30_000;
const LOOKS = 3;

/** Starts to look; returns how to stop. A process that does nothing else may end. */
export function startWatchdog(options: WatchdogOptions): () => void {
  const { queueOf, consumers, onStuck, stuckMs = STUCK_MS } = options;
  const suspects = new Map<Consumer, number>();
  let looking = false;

  const timer = setInterval(() => void look(), stuckMs / LOOKS).unref();
  return () => clearInterval(timer);

  async function look(): Promise<void> {
    if (looking) return;
    looking = true;
    for (const consumer of consumers) {
      const stands = await isStanding(consumer, queueOf(consumer.queue), stuckMs).catch(() => false);
      const since = stands ? (suspects.get(consumer) ?? performance.now()) : undefined;
      if (since === undefined) suspects.delete(consumer);
      else suspects.set(consumer, since);
      if (since !== undefined && performance.now() - since >= stuckMs) {
        onStuck(consumer.queue, `Queue ${consumer.queue} has work, but nothing was claimed for ${stuckMs} ms.`);
      }
    }
    looking = false;
  }
}

/** Work is there or overdue, nobody anywhere is at it, and this worker, which could, does nothing. */
async function isStanding(consumer: Consumer, queue: Queue, stuckMs: number): Promise<boolean> {
  if (consumer.paused || consumer.running > 0 || performance.now() - consumer.claimedAt < stuckMs / LOOKS) return false;
  const { active = 0, waiting = 0, prioritized = 0 } = await queue.getJobCounts("active", "waiting", "prioritized");
  if (active > 0) return false;
  const overdue = waiting + prioritized > 0 ? 0 : await queue.getDelayedCount(Date.now() - stuckMs);
  return waiting + prioritized + overdue > 0 && !(await queue.isPaused());
}
