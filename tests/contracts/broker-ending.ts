/** What every backend of the broker must do when a worker ends: gracefully, by its deadline, or by force. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import {
  aGate,
  aJob,
  aQueue,
  recorder,
  untilAborted,
  type BrokerFactory,
  type BrokerLocation,
} from "./broker-support.ts";

export function testBrokerEnding(farm: BrokerFactory, where: () => BrokerLocation): void {
  testLeaving(farm);
  testStopping(farm);
  testDying(farm, where);
}

function testLeaving(farm: BrokerFactory): void {
  test("draining waits for the running job, and claims no other", async () => {
    await using broker = await farm();
    const queue = aQueue({ concurrency: 1 });
    const gate = aGate();
    await broker.consume(queue, () => gate.opened);
    await broker.addJobs([aJob(queue, "a"), aJob(queue, "b")]);
    await eventually(async () => (await broker.depth(queue)).active === 1 || undefined);

    const draining = broker.drain();
    gate.open();
    await draining;

    expect(await broker.depth(queue)).toMatchObject({ completed: 1, waiting: 1, active: 0 });
  });

  test("a job that does not end in time is aborted, and another worker gets it at once", async () => {
    await using leaving = await farm();
    await using staying = await farm();
    const queue = aQueue();
    const reasons: unknown[] = [];
    await leaving.consume(queue, (_, signal) => {
      signal.addEventListener("abort", () => reasons.push(signal.reason));
      return untilAborted(signal);
    });
    await leaving.addJobs([aJob(queue, "a")]);
    await eventually(async () => (await leaving.depth(queue)).active === 1 || undefined);

    await leaving.drain(50);

    expect(reasons).toEqual(["shutdown"]);
    expect(await staying.depth(queue)).toMatchObject({ waiting: 1, active: 0, failed: 0 });
    const { notes, answer } = recorder();
    await staying.consume(queue, answer);
    await eventually(async () => notes.length === 1 || undefined);
    const [board] = staying.bullQueues([queue]);
    await eventually(async () => (await board?.getJob("job_a"))?.attemptsMade === 1 || undefined);
  });

  test("a job that ignores the signal is returned to the queue without its result", async () => {
    await using broker = await farm();
    const queue = aQueue();
    await broker.consume(queue, () => new Promise(() => {}));
    await broker.addJobs([aJob(queue, "a")]);
    await eventually(async () => (await broker.depth(queue)).active === 1 || undefined);

    await broker.drain(0);

    expect(await broker.depth(queue)).toMatchObject({ waiting: 1, active: 0, failed: 0 });
  });
}

function testStopping(farm: BrokerFactory): void {
  test("a consumer that is paused claims nothing until it resumes", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const { notes, answer } = recorder();
    const consumer = await broker.consume(queue, answer);
    await broker.addJobs([aJob(queue, "a")]);
    await eventually(async () => notes.length === 1 || undefined);
    await consumer.pause();
    await broker.addJobs([aJob(queue, "wakes"), aJob(queue, "b"), aJob(queue, "c")]);

    await consumer.resume();

    await eventually(async () => notes.length >= 4 || undefined);
    expect(notes.toSorted()).toEqual(["a", "b", "c", "wakes"]);
  });

  test("closing twice has the effect of closing once", async () => {
    const broker = await farm();
    await broker.consume(aQueue(), async () => {});

    await Promise.all([broker.close(), broker.close()]);

    await broker.close();
    expect(broker.errors).toEqual([]);
  });
}

function testDying(farm: BrokerFactory, where: () => BrokerLocation): void {
  test("the job of a killed worker is run again by another", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const worker = await startWorkerProcess({ ...where(), queue: queue.name });
    const claimed = once(worker, "message");
    await broker.addJobs([aJob(queue, "a")]);
    await claimed;
    const { notes, answer } = recorder();
    await broker.consume(queue, answer);

    worker.kill("SIGKILL");

    expect(await eventually(async () => (notes.length > 0 ? notes : undefined), 15_000)).toEqual(["a"]);
  });
}

async function startWorkerProcess(options: BrokerLocation & { queue: string }): Promise<ChildProcess> {
  const worker = fork("tests/support/run-ts.mjs", ["tests/broker/worker-process.ts", JSON.stringify(options)]);
  await once(worker, "message"); // It is consuming.
  return worker;
}
