/** What every backend of the broker must do with schedules. */
import { expect, test } from "vitest";
import type { Schedule } from "../../schedules/define.ts";
import { aQueue, recorder, type BrokerFactory, type NoteQueue } from "./broker-support.ts";
import { eventually } from "../support/eventually.ts";

/** Removes a job from the store without BullMQ, which refuses to remove a scheduler's. */
export type LoseJob = (queue: string, jobId: string) => Promise<void>;

export function testBrokerSchedules(farm: BrokerFactory, lose: LoseJob): void {
  testApplying(farm);
  testPatterns(farm);
  testApplyingAgain(farm, lose);
}

function testApplying(farm: BrokerFactory): void {
  test("a schedule shorter than a second ticks", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const { notes, answer } = recorder();
    await broker.consume(queue, answer);

    expect(await broker.applySchedules([aSchedule(queue, "tick", 100)])).toEqual({ added: 1, changed: 0, removed: 0 });

    await eventually(async () => notes.length >= 5 || undefined, 5_000);
    expect(new Set(notes)).toEqual(new Set(["tick"]));
    expect(broker.errors).toEqual([]);
  });

  test("schedules that are applied again are unchanged", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const schedules = [aSchedule(queue, "a", 60_000), aSchedule(queue, "b", 60_000)];
    await broker.applySchedules(schedules);
    const before = await broker.listSchedulers([queue]);

    expect(await broker.applySchedules(schedules)).toEqual({ added: 0, changed: 0, removed: 0 });

    expect(await broker.listSchedulers([queue])).toEqual(before);
  });

  test("a changed schedule is updated, a removed one is removed", async () => {
    await using broker = await farm();
    const queue = aQueue();
    await broker.applySchedules([aSchedule(queue, "a", 60_000), aSchedule(queue, "b", 60_000)]);

    const outcome = await broker.applySchedules([aSchedule(queue, "a", 30_000), aSchedule(queue, "c", 60_000)]);

    expect(outcome).toEqual({ added: 1, changed: 1, removed: 1 });
    const left = (await broker.listSchedulers([queue])).map(({ id, everyMs }) => ({ id, everyMs }));
    expect(left.toSorted((a, b) => a.id.localeCompare(b.id))).toEqual([
      { id: `${queue.name}/a`, everyMs: 30_000 },
      { id: `${queue.name}/c`, everyMs: 60_000 },
    ]);
  });

  test("the schedules of a queue that no longer has any are removed, too", async () => {
    await using broker = await farm();
    const queue = aQueue();
    await broker.applySchedules([aSchedule(queue, "a", 60_000)]);

    expect(await broker.applySchedules([])).toMatchObject({ removed: 1 });

    expect(await broker.listSchedulers([queue])).toEqual([]);
  });
}

function testPatterns(farm: BrokerFactory): void {
  test("a schedule with a pattern ticks at those times of the day, in UTC", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const daily = { ...aSchedule(queue, "a/daily", 86_400_000), pattern: "30 2 * * *" };

    expect(await broker.applySchedules([daily])).toMatchObject({ added: 1 });

    const [scheduler] = await broker.listSchedulers([queue]);
    expect(scheduler).toMatchObject({ id: daily.id, pattern: "30 2 * * *", everyMs: undefined });
    expect(scheduler?.nextAt?.toISOString()).toMatch(/T02:30:00\.000Z$/);
    expect(await broker.applySchedules([daily])).toEqual({ added: 0, changed: 0, removed: 0 });
    expect(await broker.applySchedules([{ ...daily, pattern: "31 2 * * *" }])).toMatchObject({ changed: 1 });
    const plain = aSchedule(queue, "a/daily", 86_400_000);
    expect(await broker.applySchedules([plain])).toMatchObject({ changed: 1 });
    expect(await broker.listSchedulers([queue])).toMatchObject([{ everyMs: 86_400_000, pattern: undefined }]);
    expect(await broker.applySchedules([plain])).toEqual({ added: 0, changed: 0, removed: 0 });
    expect(broker.errors).toEqual([]);
  });

  test("a schedule with a pattern does not tick before its time", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const { notes, answer } = recorder();
    await broker.consume(queue, answer);
    const weekly = { ...aSchedule(queue, "weekly", 7 * 86_400_000), pattern: aPatternFarFromNow() };

    await broker.applySchedules([weekly, aSchedule(queue, "tick", 100)]);

    await eventually(async () => notes.length >= 2 || undefined);
    expect(notes).not.toContain("weekly");
  });
}

/** Six months from today, which no test's clock reaches. */
function aPatternFarFromNow(): string {
  return `0 0 1 ${((new Date().getUTCMonth() + 6) % 12) + 1} *`;
}

function testApplyingAgain(farm: BrokerFactory, lose: LoseJob): void {
  test("workers that apply the same schedules at once create one scheduler and one job", async () => {
    await using first = await farm();
    await using second = await farm();
    await using third = await farm();
    const queue = aQueue();
    const schedules = [aSchedule(queue, "a", 60_000)];

    await Promise.all([first, second, third, first, second, third].map((broker) => broker.applySchedules(schedules)));

    expect(await first.listSchedulers([queue])).toHaveLength(1);
    const { waiting, delayed } = await first.depth(queue);
    expect(waiting + delayed).toBe(1);
  });

  test("a scheduler whose next job was lost ticks again when it is applied again", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const schedules = [aSchedule(queue, "a", 150)];
    await broker.applySchedules(schedules);
    const [scheduler] = await broker.listSchedulers([queue]);
    await lose(queue.name, `repeat:${scheduler?.id}:${Number(scheduler?.nextAt)}`);
    expect(await broker.depth(queue)).toMatchObject({ waiting: 0, delayed: 0 });
    const { notes, answer } = recorder();
    await broker.consume(queue, answer);

    const outcome = await eventually(async () => {
      const { changed } = await broker.applySchedules(schedules);
      return changed > 0 ? changed : undefined;
    });

    expect(outcome).toBe(1);
    await eventually(async () => notes.length >= 3 || undefined);
  });

  test("a tick that only waits for a worker stays in its place", async () => {
    await using broker = await farm();
    const queue = aQueue();
    const schedules = [aSchedule(queue, "a", 50)];
    await broker.applySchedules(schedules);
    await eventually(async () => {
      const [scheduler] = await broker.listSchedulers([queue]);
      return Date.now() > Number(scheduler?.nextAt) + 100 || undefined;
    });

    expect(await broker.applySchedules(schedules)).toEqual({ added: 0, changed: 0, removed: 0 });
  });
}

function aSchedule(queue: NoteQueue, note: string, everyMs: number): Schedule {
  return { id: `${queue.name}/${note}`, queue, everyMs, payload: { note } };
}
