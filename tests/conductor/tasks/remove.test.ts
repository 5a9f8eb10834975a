/** What an owner may do to a task in every status: it is allowed, or refused with the allowed alternatives. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { removeTask } from "../../../src/conductor/tasks/remove.ts";
import { stopTask } from "../../../src/conductor/tasks/stop.ts";
import { mergeTask, rejectTask } from "../../../src/conductor/delivery/merge.ts";
import { syncSchedules } from "../../../src/conductor/schedules/files.ts";
import { retryNow } from "../../../src/conductor/attempts/retry.ts";
import { checkInvariants } from "../../../src/conductor/watch/invariants.ts";
import { InvalidTransitionError } from "../../../src/domain/errors.ts";
import { TaskStatus, TERMINAL_STATUSES, VALID_TRANSITIONS } from "../../../src/domain/task/task.ts";
import { testFleet } from "../../support/fleet.ts";
import { aScheduleFile } from "../../support/schedules.ts";
import { forceStatus } from "../../support/store.ts";

const FAILURE = { class: "agent_error", reason: "exit_1", summary: "It failed.", attempt: 0, signature: "s" };

const ACTS = {
  stop: { to: "cancelled", twice: "cancelled", run: stopTask },
  retry: {
    to: "retrying",
    twice: undefined,
    run: (...[fleet, by, task]: Parameters<typeof stopTask>) => retryNow(fleet, task, by),
  },
  reject: {
    to: "rejected",
    twice: undefined,
    run: (...[fleet, by, task]: Parameters<typeof stopTask>) => rejectTask(fleet, by, task, "Not so."),
  },
} as const;

test.each(["stop", "retry", "reject"] as const)(
  "%s is allowed exactly where the table of statuses allows it",
  async (name) => {
    await using fleet = await testFleet();
    const by = await fleet.operator();
    const repository = await fleet.aRepository();
    const { to, twice, run } = ACTS[name];
    const allowed: string[] = [];

    for (const status of TaskStatus.options) {
      const { id } = await fleet.spawn(by, { repository });
      await forceStatus(fleet, [id], status, { failure_context: JSON.stringify(FAILURE) });
      const refusal = await run(fleet.fleet, by, await fleet.read(id)).then(
        () => undefined,
        (error: unknown) => error,
      );
      const isRefused = refusal instanceof InvalidTransitionError;
      const expected = isRefused
        ? { is: status, from: status, to, allowed: VALID_TRANSITIONS[status] }
        : { is: to, refusal: undefined };
      const found = isRefused ? refusal.facts : { refusal };
      expect({ is: (await fleet.read(id)).status, ...found }).toMatchObject(expected);
      if (!isRefused) allowed.push(status);
      await fleet.query("update slots set active = 0");
      await fleet.query("delete from outbox");
    }

    const ways = TaskStatus.options.filter((status) => VALID_TRANSITIONS[status].includes(to) || status === twice);
    expect(allowed).toEqual(ways);
  },
);

test("only a ready task can be merged, and merging it again changes nothing", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository: await fleet.aRepository() });
  await expect(mergeTask(fleet.fleet, by, task)).rejects.toBeInstanceOf(InvalidTransitionError);
  const ready = await fleet.runUntil(task.id, "ready");

  const merged = await mergeTask(fleet.fleet, by, ready);
  const again = await mergeTask(fleet.fleet, by, await fleet.read(task.id));

  expect(merged.task.status).toBe("merged");
  expect(again.task.version).toBe(merged.task.version);
  expect(await fleet.query("select state, merge_sha from pull_requests")).toEqual([
    { state: "merged", merge_sha: expect.stringMatching(/^[0-9a-f]{40}$/) },
  ]);
  await expect(stopTask(fleet.fleet, by, merged.task)).rejects.toBeInstanceOf(InvalidTransitionError);
});

test("a merge is a push: the on_push schedule of the product creates its orders", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const repository = await fleet.aRepository();
  const product = fleet.fleet.settings.products.find((one) => one.repository === repository);
  if (!product) throw new Error("A repository of tests is a product.");
  product.tenant = by.tenantId;
  const schedule = aScheduleFile(product.id, { cadence: "on_push" });
  await mkdir(join(dirname(fleet.home), "schedules"), { recursive: true });
  await writeFile(join(dirname(fleet.home), "schedules", `${product.id}.json`), JSON.stringify(schedule));
  await syncSchedules(fleet.fleet);
  const task = await fleet.spawn(by, { repository });

  await mergeTask(fleet.fleet, by, await fleet.runUntil(task.id, "ready"));
  await fleet.processHints();

  expect(await fleet.query("select product_id, intent, source from work_orders")).toEqual([
    { product_id: product.id, intent: "validate", source: "push" },
  ]);
});

test("a merge whose worker died after the forge merged is completed by merging again", async () => {
  await using fleet = await testFleet({
    parts: { faultPoint: async (point) => (point === "merge:after" ? Promise.reject(new Error("died")) : undefined) },
  });
  const alive = await fleet.another({ env: { FLEET_HOST_ID: "here" }, parts: { faultPoint: async () => {} } });
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository() });
  const ready = await fleet.runUntil(id, "ready");
  await expect(mergeTask(fleet.fleet, by, ready)).rejects.toThrow("died");

  const { task } = await mergeTask(alive.fleet, by, await fleet.read(id));

  expect(task.status).toBe("merged");
  const [entry] = await fleet.query("select detail from audit_log where action = 'task.merged'");
  expect(entry).toMatchObject({ detail: { already: true } });
});

test("the comment of an operator's rejection is in the prompt of the next attempt", async () => {
  await using fleet = await testFleet({ settings: { reviewers: [] } });
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "objectionable-then-fix" });
  const ready = await fleet.runUntil(task.id, "ready");

  await rejectTask(fleet.fleet, by, ready, "The colour is wrong.");

  expect(await fleet.runUntil(task.id, "ready")).toMatchObject({ attempt: 1, retryCount: 1 });
  const [first] = await fleet.query("select failure_context from attempts order by attempt limit 1");
  expect(JSON.stringify(first)).toContain("The colour is wrong.");
});

test("a stop wins against concurrent changes of the task, and stopping it again changes nothing", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository: await fleet.aRepository() });

  // The spawn works on the task while three operators stop the version that they read before.
  const work = fleet.processHints();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const stopped = await Promise.all([1, 2, 3].map(() => stopTask(fleet.fleet, by, task)));
  await work;
  for (let round = 0; round < 3; round += 1) {
    await fleet.processHints();
    await fleet.tick();
  }

  expect(stopped.map(({ status }) => status)).toEqual(["cancelled", "cancelled", "cancelled"]);
  expect(await fleet.read(task.id)).toMatchObject({ status: "cancelled" });
  expect(fleet.processesOf(task.id)).toEqual([]);
  expect(await fleet.query("select count(*)::int as n from audit_log where action = 'task.cancelled'")).toEqual([
    { n: 1 },
  ]);
  expect((await checkInvariants(fleet.fleet)).filter(({ holds }) => holds === false)).toEqual([]);
});

test("only an ended task can be removed; its working copy is removed, and it is no longer listed", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "hang" });
  const running = await fleet.runUntil(task.id, "running");
  await expect(removeTask(fleet.fleet, by, running)).rejects.toMatchObject({ code: "invalid-transition" });

  const stopped = await stopTask(fleet.fleet, by, running);
  const cleaned = await removeTask(fleet.fleet, by, stopped);

  expect(cleaned?.decision.do).toBe("remove");
  await expect(fleet.read(task.id)).rejects.toMatchObject({ code: "task-not-found" });
  expect(await fleet.query("select status from fleet_tasks where removed_at is not null")).toEqual([
    { status: "cancelled" },
  ]);
});

test("a terminal status is final: no action leads out of it", () => {
  for (const status of TERMINAL_STATUSES) expect(VALID_TRANSITIONS[status]).toEqual([]);
});
