/** What every backend of the broker must do with jobs. */
import { expect, test } from "vitest";
import { FleetError, parseInput } from "../../src/domain/errors.ts";
import { eventually } from "../support/eventually.ts";
import { aJob, aQueue, Note, recorder, untilAborted, type BrokerFactory } from "./broker-support.ts";

export function testBrokerJobs(farm: BrokerFactory): void {
  testAdding(farm);
  testRefusing(farm);
  testAnswering(farm);
  testInspecting(farm);
}

function testAdding(farm: BrokerFactory): void {
  test("a job is processed once, although it is added twice", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const { notes, answer } = recorder();

    await broker.addJobs([aJob(queue, "a"), aJob(queue, "a")]);
    await broker.addJobs([aJob(queue, "a")]);
    await broker.consume(queue, answer);
    await broker.addJobs([aJob(queue, "b")]);

    await eventually(async () => (await broker.depth(queue)).completed === 2 || undefined);
    expect(notes).toEqual(["a", "b"]);
    expect(broker.errors).toEqual([]);
  });

  test("an id is ignored while its finished job is retained", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const { notes, answer } = recorder();
    await broker.consume(queue, answer);
    await broker.addJobs([aJob(queue, "a")]);
    await eventually(async () => (await broker.depth(queue)).completed === 1 || undefined);

    await broker.addJobs([aJob(queue, "a"), aJob(queue, "last")]);

    await eventually(async () => notes.includes("last") || undefined);
    expect(notes).toEqual(["a", "last"]);
  });

  test("many jobs of several queues are added at once", async () => {
    await using broker = await farm();
    const queues = [aQueue(), aQueue()];
    const { notes, answer } = recorder();
    for (const queue of queues) await broker.consume(queue, answer);

    await broker.addJobs(queues.flatMap((queue, q) => Array.from({ length: 50 }, (_, n) => aJob(queue, `${q}-${n}`))));

    await eventually(async () => notes.length >= 100 || undefined);
    expect(new Set(notes).size).toBe(100);
  });

  test("a delayed job waits for its time", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const { notes, answer } = recorder();
    await broker.consume(queue, answer);

    await broker.addJobs([aJob(queue, "later", 1_500), aJob(queue, "now")]);
    await eventually(async () => notes.length === 1 || undefined);

    expect((await broker.getJobStatuses(queue, ["job_later"])).get("job_later")).toBe("delayed");
    await eventually(async () => notes.length === 2 || undefined, 5_000);
    expect(notes).toEqual(["now", "later"]);
  });
}

function testAnswering(farm: BrokerFactory): void {
  test("a smaller priority number is served first", async () => {
    await using broker = await farm();
    const queue = aQueue({ priority: ({ note }) => Number(note), concurrency: 1 });
    const { notes, answer } = recorder();

    await broker.addJobs(["3", "1", "2"].map((note) => aJob(queue, note)));
    expect((await broker.depth(queue)).waiting).toBe(3);
    await broker.consume(queue, answer);

    await eventually(async () => notes.length === 3 || undefined);
    expect(notes).toEqual(["1", "2", "3"]);
  });

  test("a refused job fails at once, with its reason on the job", async () => {
    await using broker = await farm();
    const queue = aQueue();
    let tries = 0;
    await broker.consume(queue, async () => {
      tries += 1;
      throw new FleetError("not-owner", "This is not yours.");
    });

    await broker.addJobs([aJob(queue, "a")]);

    await eventually(async () => (await broker.depth(queue)).failed === 1 || undefined);
    expect(tries).toBe(1);
    const [board] = broker.bullQueues([queue]);
    expect((await board?.getFailed())?.map(({ failedReason }) => failedReason)).toEqual(["This is not yours."]);
  });

  test("a temporary failure is retried, up to the queue's attempts", async () => {
    await using broker = await farm();
    const queue = aQueue({ attempts: 3 });
    let tries = 0;
    await broker.consume(queue, async () => {
      tries += 1;
      throw new FleetError("forge-unavailable", "No answer.");
    });

    await broker.addJobs([aJob(queue, "a")]);

    await eventually(async () => (await broker.depth(queue)).failed === 1 || undefined);
    expect(tries).toBe(3);
  });
}

function testRefusing(farm: BrokerFactory): void {
  test("an invalid payload is refused with the path of the error, and nothing is added", async () => {
    await using broker = await farm();
    const queue = aQueue();

    const adding = broker.addJobs([aJob(queue, "a"), { queue, payload: { note: 7 } }]);

    await expect(adding).rejects.toMatchObject({ code: "invalid-input", facts: { index: 1, queue: queue.name } });
    expect(await broker.depth(queue)).toMatchObject({ waiting: 0 });
  });

  test.each(["", "42", "a:b"])("the job id %j is refused", async (id) => {
    await using broker = await farm();
    const queue = aQueue({ jobId: () => id });

    await expect(broker.addJobs([aJob(queue, "a")])).rejects.toThrow("produces the job id");
  });

  test("a malformed payload in the store fails visibly and is not retried", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const { notes, answer } = recorder();
    const [board] = broker.bullQueues([queue]);
    await board?.add(queue.name, { nonsense: true }, { attempts: 5 });

    await broker.consume(queue, answer);

    const [failed] = await eventually(async () => {
      const jobs = (await board?.getFailed()) ?? [];
      return jobs.length > 0 ? jobs : undefined;
    });
    expect(failed).toMatchObject({ attemptsMade: 1, failedReason: expect.stringContaining("note") });
    expect(notes).toEqual([]);
  });
}

function testInspecting(farm: BrokerFactory): void {
  test("the state of each id is reported", async () => {
    await using broker = await farm();
    const queue = aQueue({ attempts: 1, concurrency: 3 });
    const consumer = await broker.consume(queue, async (data, signal) => {
      const { note } = parseInput(Note, data);
      if (note === "failed") throw new Error("a bug");
      if (note === "active") await untilAborted(signal);
    });
    await broker.addJobs(["completed", "failed", "active"].map((note) => aJob(queue, note)));
    await eventually(async () => {
      const { completed, failed, active } = await broker.depth(queue);
      return (completed === 1 && failed === 1 && active === 1) || undefined;
    });
    await consumer.pause();
    await broker.addJobs([aJob(queue, "delayed", 60_000), aJob(queue, "waiting"), aJob(queue, "waiting2")]);

    const names = ["completed", "failed", "active", "delayed", "waiting2", "missing"];
    const states = await broker.getJobStatuses(
      queue,
      names.map((name) => `job_${name}`),
    );

    expect([...states.values()]).toEqual(["completed", "failed", "active", "delayed", "waiting", "missing"]);
    await broker.drain(0);
  });

  test("finished jobs older than the queue's retention are removed", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const { answer } = recorder();
    await broker.consume(queue, answer);
    await broker.addJobs([aJob(queue, "a"), aJob(queue, "b")]);
    await eventually(async () => (await broker.depth(queue)).completed === 2 || undefined);

    expect(await broker.clean(queue)).toBe(0);
    const removed = await broker.clean(aQueue({ ...queue, keepCompleted: { count: 10, ageMs: 0 } }));

    expect(removed).toBe(2);
    expect((await broker.depth(queue)).completed).toBe(0);
  });
}
