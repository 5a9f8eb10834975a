/**
 * Hostile jobs on real queues of both backends: each is refused once and visibly or ignored, and the task that it
 * names is unchanged.
 */
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { hostProcessor, PROCESSORS } from "../../processors/index.ts";
import { eventually } from "../support/eventually.ts";
import { testFleet } from "../support/fleet.ts";
import { About, aTrap, parseCases, type Trap } from "./cases.ts";
import file from "./queue-payloads.json" with { type: "json" };

const Case = z.strictObject({ ...About, queue: z.string(), data: z.unknown(), end: z.enum(["refused", "quiet"]) });
const cases = parseCases(Case, file);

const Repeated = z.strictObject({ repeat: z.tuple([z.string(), z.int()]) });
const Nested = z.strictObject({ nest: z.int() });
const A_MEGABYTE = 1_000_000;
/** A failure reason is displayed on the board and in logs. */
const LONGEST_REASON = 2_000;

/** `{repeat: [text, n]}` and `{nest: n}` stand for values too large for the file. */
function dataOf(value: unknown, trap: Trap, task: string): unknown {
  const repeated = Repeated.safeParse(value);
  if (repeated.success) return repeated.data.repeat[0].repeat(repeated.data.repeat[1]);
  const nested = Nested.safeParse(value);
  if (nested.success) return Array.from({ length: nested.data.nest }).reduce<unknown>((inner) => [inner], 1);
  if (typeof value === "string") return trap.fill(value, { task, long: "k".repeat(A_MEGABYTE) });
  if (Array.isArray(value)) return value.map((item) => dataOf(item, trap, task));
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).map(([key, inner]) => [dataOf(key, trap, task), dataOf(inner, trap, task)]);
  return Object.fromEntries(members);
}

describe.each(["redis", "postgres"] as const)("on %s", (queues) => {
  test("every hostile job ends as it should, and nothing else happens", async () => {
    await using fleet = await testFleet({ queues });
    using trap = aTrap();
    const { broker, host } = fleet.fleet;
    const by = await fleet.operator();
    const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "hang" });
    const before = await fleet.runUntil(id, "running");
    const processors = new Map(PROCESSORS.map((processor) => [processor.queue.name, processor]));
    processors.set("host", hostProcessor(host.id));

    const jobs = await Promise.all(
      cases.map(async ({ name, queue, data, end }) => {
        const processor = processors.get(queue);
        const [bull] = processor ? broker.bullQueues([processor.queue]) : [];
        const jobId = `odd_${randomUUID()}`;
        const adding = bull?.add(queue, dataOf(data, trap, id), { jobId, attempts: 5, backoff: 10 });
        const isIn = await adding?.then(
          () => true,
          () => false,
        );
        return { name, end, bull, jobId, isIn };
      }),
    );
    const keptOut = jobs.filter(({ isIn }) => !isIn).map(({ name }) => name);
    expect(keptOut).toEqual(queues === "postgres" ? ["a task id: NUL"] : []);
    const asked = new Set(cases.map(({ queue }) => queue));
    for (const [name, { queue, handle }] of processors) {
      if (asked.has(name)) await broker.consume(queue, (payload, signal) => handle(fleet.fleet, payload, signal));
    }

    const ended = await Promise.all(
      jobs.map(async ({ name, bull, jobId, isIn }) => {
        if (!isIn) return { name, end: "refused", tries: 1, isShort: true };
        const job = await eventually(async () => {
          const found = await bull?.getJob(jobId);
          return found?.finishedOn ? found : undefined;
        });
        const reason = job.failedReason ?? "";
        return {
          name,
          end: reason ? "refused" : "quiet",
          tries: job.attemptsMade,
          isShort: reason.length < LONGEST_REASON,
        };
      }),
    );

    expect(ended).toEqual(cases.map(({ name, end }) => ({ name, end, tries: 1, isShort: true })));
    expect(await fleet.query("select id, version, status from fleet_tasks")).toEqual([
      { id, version: before.version, status: before.status },
    ]);
    expect(Reflect.get({}, "isAdmin")).toBeUndefined();
    trap.expectUnsprung();
  });
});
