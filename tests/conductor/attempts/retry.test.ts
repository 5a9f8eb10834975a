/** Retrying: the task is admitted again, visibly waits for a slot, or is abandoned. */
import { expect, test } from "vitest";
import { checkInvariants } from "../../../src/conductor/watch/invariants.ts";
import { reconcile } from "../../../src/conductor/monitor/reconcile.ts";
import { retryProcessor } from "../../../processors/retry.ts";
import { retryNow } from "../../../src/conductor/attempts/retry.ts";
import { SpawnDeniedError } from "../../../src/domain/errors.ts";
import { testFleet } from "../../support/fleet.ts";
import { forceStatus } from "../../support/store.ts";

test("the delay of the retry hint follows the rule and doubles each time", async () => {
  await using fleet = await testFleet({ settings: { retry: { baseDelayMs: 30_000 } }, parts: { random: () => 0.5 } });
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "exit-1" });
  const delays = async () =>
    (
      await fleet.query(
        "select extract(epoch from run_at - created_at)::float8 as s from outbox where topic = 'retry' order by id",
      )
    ).map(({ s }) => Number(s));

  await fleet.runUntil(id, "failed");
  expect(await delays()).toEqual([30.5]);
  await fleet.processHints();
  await fleet.runUntil(id, "failed");

  expect(await delays()).toEqual([30.5, 60.5]);
});

test("without a free slot the task stays failed with a condition, and retries when a slot is free", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator({ tier: "builder" });
  const repository = await fleet.aRepository();
  const { id } = await fleet.spawn(by, { repository, script: "fail-then-fix" });
  const failed = await fleet.runUntil(id, "failed");
  const other = await fleet.spawn(by, { repository });
  await fleet.query("update outbox set processed_at = now() where task_id = $1", [other.id]);

  await fleet.processHints();
  const waits = await fleet.read(id);
  expect(waits).toMatchObject({
    status: "failed",
    condition: "waiting_slot",
    conditionDetail: { limit: 1 },
    attempt: 0,
  });
  expect(waits.epoch).toBeGreaterThan(failed.epoch);
  await fleet.processHints();
  expect((await fleet.read(id)).status).toBe("failed");
  expect(await fleet.query("select active from slots")).toEqual([{ active: 1 }]);

  await forceStatus(fleet, [other.id], "cancelled", {});
  await fleet.query("update fleet_tasks set due_at = now() - interval '1 min' where id = $1", [id]);
  await reconcile(fleet.fleet);
  await fleet.processHints();

  expect(await fleet.runUntil(id, "ready")).toMatchObject({ attempt: 1, condition: "ok" });
});

test("when the retries are used up the task is abandoned, and its operator is notified", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "exit-1", maxRetries: 1 });

  const abandoned = await fleet.runUntil(id, "abandoned");
  await fleet.processHints();

  expect(abandoned).toMatchObject({ attempt: 1, retryCount: 1 });
  expect(await fleet.query("select active from slots")).toEqual([{ active: 0 }]);
  expect(fleet.lines.some((line) => line.includes("abandoned"))).toBe(true);
  expect((await checkInvariants(fleet.fleet)).filter(({ holds }) => holds === false)).toEqual([]);
});

test("a task that needs a person is held, and an operator's retry starts it without using up a retry", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), maxRetries: 0 });
  const ready = await fleet.runUntil(id, "ready");
  await fleet.query("update slots set active = 1");
  const failure = { class: "policy_refusal", reason: "no", summary: "No.", attempt: 0, signature: "s" };
  await forceStatus(fleet, [id], "failed", {
    attempt: 0,
    host: "here",
    dispatch_id: ready.dispatchId,
    failure_context: JSON.stringify(failure),
    waiting_for: "retry",
  });
  await retryProcessor.handle(fleet.fleet, { taskId: id, epoch: ready.epoch }, new AbortController().signal);

  const held = await fleet.read(id);
  expect(held).toMatchObject({ status: "failed", condition: "needs_input", waitingFor: null });
  const retrying = await retryNow(fleet.fleet, held, by);

  expect(retrying).toMatchObject({ status: "retrying", attempt: 1, retryCount: 0, condition: "ok" });
});

test("an operator's retry needs a free slot, too", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator({ tier: "builder" });
  const repository = await fleet.aRepository();
  const { id } = await fleet.spawn(by, { repository, script: "exit-1" });
  const failed = await fleet.runUntil(id, "failed");
  await fleet.spawn(by, { repository });

  await expect(retryNow(fleet.fleet, failed, by)).rejects.toBeInstanceOf(SpawnDeniedError);

  expect(await fleet.query("select active from slots")).toEqual([{ active: 1 }]);
});
