/** The list of queues: every queue has its processor and its files, and BullMQ accepts every job's id and payload. */
import { existsSync, readdirSync } from "node:fs";
import { basename } from "node:path";
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { hostProcessor, PROCESSORS } from "../processors/index.ts";
import { HostAction, hostQueue } from "../queues/host.ts";
import { QUEUES } from "../queues/index.ts";
import { fleetSchedules } from "../schedules/fleet.ts";
import { parseInput } from "../src/domain/errors.ts";

const host = hostQueue("a-host");
const answered = [...QUEUES.map(({ name }) => name), "host"];

test("queues and processors are the same set", () => {
  const names = [...PROCESSORS.map(({ queue }) => queue.name), "host"];

  expect(names.toSorted()).toEqual(answered.toSorted());
  expect(hostProcessor("a-host").queue.name).toBe(host.name);
});

test("a processor handles the listed queue, not another of the same name", () => {
  for (const { queue } of PROCESSORS) expect(QUEUES).toContain(queue);
});

const USE_CASES = readdirSync("src/conductor", { recursive: true, encoding: "utf8" }).map((path) =>
  basename(path, ".ts"),
);

test.each(answered)("the files of %s are found by its one name", (name) => {
  const files = [`queues/${name}.ts`, `processors/${name}.ts`, `tests/processors/${name}.test.ts`];

  expect(files.filter((file) => !existsSync(file))).toEqual([]);
  // Its use case is a room of the conductor, or a file in one.
  expect(USE_CASES).toContain(name);
});

test("every file of queues and processors belongs to a listed queue", () => {
  const besides = new Set(["define.ts", "index.ts", "task-job.ts"]);
  const named = (folder: string) =>
    readdirSync(folder)
      .filter((file) => !besides.has(file))
      .map((file) => file.replace(/\.ts$/, ""));

  expect(named("queues").toSorted()).toEqual(answered.toSorted());
  expect(named("processors").toSorted()).toEqual(answered.toSorted());
});

test("each queue has a unique name, without characters that are special to BullMQ", () => {
  const names = [...QUEUES, host].map(({ name }) => name);

  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => !/^[a-z][A-Za-z0-9.-]*$/.test(name))).toEqual([]);
});

const id = randomUUID();
const job = { taskId: id, epoch: 3, traceId: "t".repeat(64) };
/** As large as is valid. */
const SAMPLES: Readonly<Record<string, readonly object[]>> = {
  planner: [
    { kind: "state", budget: 1_000, run: true },
    { kind: "schedule", tenantId: "t".repeat(64), scheduleId: "s".repeat(64) },
    { kind: "due" },
  ],
  orders: [{ orderId: id, epoch: 1 }],
  spawn: [job],
  retry: [job],
  ci: [job],
  review: [{ ...job, reviewId: id }],
  monitor: [{ kind: "sweep", shard: 1, of: 2 }, { kind: "reconcile" }, { kind: "invariants" }],
  notify: [{ notificationId: id, epoch: 1 }],
  gc: [{ what: "rows" }, { what: "hosts" }],
  drift: [
    { kind: "fleet" },
    { kind: "science" },
    { kind: "requested", tenantId: "t".repeat(64), productId: "p".repeat(64), lookId: id },
    { kind: "requested-science", tenantId: "t".repeat(64), lookId: id },
  ],
  [host.name]: [...HostAction.options.map((act) => Object.assign({ act }, job)), { act: "gc", reportId: id }],
};
const samples = [...QUEUES, host].flatMap((queue) =>
  (SAMPLES[queue.name] ?? []).map((payload) => ({ queue, name: queue.name, payload })),
);

test("there is a sample of every queue's payload", () => {
  expect([...QUEUES, host].filter(({ name }) => !SAMPLES[name]).map(({ name }) => name)).toEqual([]);
});

test.each(samples)("a job of $name has an id and a payload that BullMQ accepts: $payload", ({ queue, payload }) => {
  const jobId = queue.jobId(parseInput(queue.payload, payload));

  expect(jobId).not.toBe("");
  expect(jobId).not.toContain(":");
  expect(jobId).not.toMatch(/^[+-]?\d+$/);
  expect(JSON.stringify(payload).length).toBeLessThanOrEqual(1_024);
});

test.each(samples.filter(({ payload }) => "epoch" in payload))(
  "another epoch of $name is another job: $payload",
  ({ queue, payload }) => {
    const first = queue.jobId(parseInput(queue.payload, payload));
    const second = queue.jobId(parseInput(queue.payload, { ...payload, epoch: 4 }));

    expect(second).not.toBe(first);
  },
);

test.each([...QUEUES, host])("$name refuses an unknown field", (queue) => {
  const [payload = {}] = SAMPLES[queue.name] ?? [];

  expect(queue.payload.safeParse({ ...payload, prompt: "long" }).success).toBe(false);
});

test("the retention of finished jobs is bounded, by count and by age", () => {
  for (const { keepCompleted, keepFailed, attempts } of [...QUEUES, host]) {
    expect(keepCompleted.count).toBeLessThanOrEqual(1_000);
    expect(keepFailed.count).toBeLessThanOrEqual(5_000);
    expect(keepFailed.ageMs).toBeGreaterThanOrEqual(keepCompleted.ageMs);
    expect(attempts).toBeLessThanOrEqual(5);
  }
});

test("a schedule's payload is valid for its queue, and its id names the queue", () => {
  const schedules = fleetSchedules({ tickMs: 5_000, shards: 2 });

  for (const { id: name, queue, payload } of schedules) {
    expect(queue.payload.safeParse(payload).success).toBe(true);
    expect(name.split("/")[0]).toBe(queue.name);
  }
  expect(new Set(schedules.map((schedule) => schedule.id)).size).toBe(schedules.length);
});
