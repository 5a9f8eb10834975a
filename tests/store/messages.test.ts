/** Verdicts and notifications: one verdict per reviewer and round, one delivery per message and try. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import {
  bumpNotificationEpochs,
  claimNotification,
  insertFallbackNotification,
  listNotifications,
  listOverdueNotifications,
  postponeNotification,
  settleNotification,
} from "../../src/store/notifications.ts";
import { claimReview, insertReviews, lockReviewRound, settleReview } from "../../src/store/reviews.ts";
import type { Tx } from "../../src/store/sql.ts";
import { aNote } from "../support/builders.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { SYSTEM } from "../../src/store/principal.ts";

const how = { actor: "test", action: "test.move" };
const times = <Result>(count: number, work: (index: number) => Promise<Result>): Promise<Result[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

test("of the last two verdicts at once exactly one reviewer sees the complete round", async () => {
  await using world = await testStore();
  const task = await world.task(await world.operator(), "reviewing");
  const round = {
    taskId: task.id,
    tenantId: task.tenantId,
    operatorId: task.operatorId,
    round: 1,
    headSha: "a".repeat(40),
  };
  await times(3, () => as(world, (tx) => insertReviews(tx, round, reviewers())));
  const rows = await as(world, (tx) => lockReviewRound(tx, task.id, 1));
  expect(rows).toHaveLength(3);
  const claims = await times(6, (index) =>
    as(world, (tx) => claimReview(tx, { id: rows[index % 3]?.id ?? "", worker: `w${index}`, leaseMs: 60_000 })),
  );
  expect(claims.filter(Boolean)).toHaveLength(3);

  const end: Parameters<typeof settleReview>[2] = {
    status: "done",
    verdict: "approve",
    summary: null,
    findings: [],
    error: null,
  };
  const seen = await times(6, (index) =>
    world.store.asSystem(async (tx) => {
      await lockReviewRound(tx, task.id, 1);
      const settled = await settleReview(tx, { id: rows[index % 3]?.id ?? "", worker: `w${index}` }, end);
      const now = await lockReviewRound(tx, task.id, 1);
      return settled && now.every(({ status }) => status === "done");
    }),
  );
  expect(seen.filter(Boolean)).toHaveLength(1);
});

test("a notification is sent by one worker at a time, retried under a new epoch, and settled once", async () => {
  await using world = await testStore();
  const task = await world.task(await world.operator(), "running");
  await world.store.transitions.transition(SYSTEM, {
    task,
    to: "cancelled",
    ...how,
    notes: [aNote({ channels: ["discord", "terminal", "discord"] })],
  });
  const rows = await as(world, (tx) => listNotifications(tx, task.id));
  expect(rows.map(({ channel }) => channel).toSorted()).toEqual(["discord", "terminal"]);
  const [row] = rows;
  if (!row) throw new Error("No notification.");
  const claim = (epoch: number, leaseMs = 60_000) =>
    as(world, (tx) => claimNotification(tx, { notificationId: row.id, epoch }, leaseMs));

  expect((await times(8, () => claim(1))).filter(Boolean)).toHaveLength(1);
  await as(world, (tx) => postponeNotification(tx, row, { inMs: 60_000, error: "429" }));
  expect(await claim(1)).toBeUndefined();
  expect(await claim(2)).toBeUndefined();
  await world.query("update fleet_notifications set due_at = now() - interval '1 hour' where id = $1", [row.id]);
  expect(await as(world, (tx) => listOverdueNotifications(tx, 60_000, 10))).toMatchObject([{ id: row.id, epoch: 2 }]);
  expect(await claim(2)).toMatchObject({ tries: 2, lastError: "429" });
  await as(world, (tx) => settleNotification(tx, row, { status: "failed", error: "late" })); // This delivery belongs to epoch 1.
  expect(await as(world, (tx) => bumpNotificationEpochs(tx, [row.id]))).toEqual([{ id: row.id, epoch: 3 }]);
  await as(world, (tx) => settleNotification(tx, { ...row, epoch: 3 }, { status: "delivered" }));
  await as(world, (tx) => settleNotification(tx, { ...row, epoch: 3 }, { status: "failed", error: "later" }));
  const [end] = await world.query(
    "select status, delivered_at is not null as told from fleet_notifications where id = $1",
    [row.id],
  );
  expect(end).toEqual({ status: "delivered", told: true });

  const fallbacks = await times(3, () => as(world, (tx) => insertFallbackNotification(tx, row, "email")));
  expect(fallbacks.filter(Boolean)).toHaveLength(1);
});

function reviewers() {
  return ["a", "b", "c"].map((reviewer) => ({ id: randomUUID(), reviewer, role: "general" }));
}

function as<Result>({ store }: TestStore, work: (tx: Tx) => Promise<Result>): Promise<Result> {
  return store.asSystem(work);
}
