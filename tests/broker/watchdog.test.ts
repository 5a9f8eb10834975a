/** The watchdog: what it reports as stuck, and what it must not. */
import { randomBytes } from "node:crypto";
import { expect, inject, test } from "vitest";
import { aGate, aJob, aQueue, recorder, testBroker } from "../contracts/broker-support.ts";
import { eventually } from "../support/eventually.ts";

const where = () => ({ redisUrl: inject("redisUrl"), prefix: `test-${randomBytes(4).toString("hex")}` });

test("a worker that claims nothing while jobs wait is reported with its queue", async () => {
  const stuck: string[] = [];
  await using broker = await testBroker({ ...where(), stuckMs: 150, onStuck: (queue) => stuck.push(queue) });
  const queue = aQueue();
  const consumer = await broker.consume(queue, async () => {});
  await consumer.pause(); // Its worker has stopped …
  Object.defineProperty(consumer, "paused", { value: false }); // … without noticing it.

  await broker.addJobs([aJob(queue, "a")]);

  expect(await eventually(async () => stuck[0])).toBe(queue.name);
});

test("workers that are idle, busy, paused or late in a long queue are not reported", async () => {
  const stuck: string[] = [];
  await using broker = await testBroker({ ...where(), stuckMs: 60, onStuck: (queue) => stuck.push(queue) });
  const [idle, busy, paused, stopped] = [aQueue(), aQueue({ concurrency: 1 }), aQueue(), aQueue()];
  const gate = aGate();
  const { notes, answer } = recorder();
  await broker.consume(idle, answer);
  await broker.consume(busy, () => gate.opened);
  await (await broker.consume(paused, answer)).pause();
  await broker.bullQueues([stopped])[0]?.pause();
  await broker.consume(stopped, answer);

  await broker.addJobs([aJob(busy, "a"), aJob(busy, "b"), aJob(paused, "c"), aJob(stopped, "d"), aJob(idle, "e", 400)]);

  await eventually(async () => notes.includes("e") || undefined);
  gate.open();
  expect(stuck).toEqual([]);
});
