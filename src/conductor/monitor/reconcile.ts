/** The reconciler: hands out again what waits too long. Everything it does is safe to do twice, and each pass is bounded. */
import { notifyQueue } from "../../../queues/notify.ts";
import { reviewQueue } from "../../../queues/review.ts";
import type { Task } from "../../domain/task/task.ts";
import { listHosts } from "../../store/hosts.ts";
import { bumpNotificationEpoch, listOverdueNotifications } from "../../store/notifications.ts";
import { listReviews } from "../../store/reviews.ts";
import { createHint } from "../../store/outbox.ts";
import { listExpiredSpawns, listOverdueTasks, listSlotDrift, postponeTasks, repairSlots } from "../../store/tasks.ts";
import { failTask } from "../tasks/fail.ts";
import type { Fleet } from "../fleet.ts";
import { jobFor, applyTransition, nextJobFor, ignoreStale } from "../tasks/transition.ts";
import { reconcileOrders } from "../orders/reconcile.ts";
import { settleRound } from "../delivery/review.ts";

/** Of each kind, in one pass: a naive sweep of everything feeds itself and never ends. */
const MAX_PER_PASS = 500;
/** A hint is not missed before this. */
const GRACE_MS = 3_000;
/** How long a task looked after is left alone. */
const RECHECK_MS = 5_000;
/** Takeovers after dead workers; their own budget, never max_retries. */
const MAX_CRASHES = 8;
/** Above this many waiting jobs the queue itself is the reason for waiting: adding hints would not help. */
const MAX_QUEUE_DEPTH = 10_000;

export interface ReconcileResult {
  readonly readded: number;
  readonly reissued: number;
  readonly takenOver: number;
  readonly slotsRepaired: number;
  readonly notificationsReissued: number;
  /** Given again, or taken over from dead workers. */
  readonly orders: number;
}

/** One pass; undefined when another worker is at it. */
export async function reconcile(fleet: Fleet): Promise<ReconcileResult | undefined> {
  return fleet.store.tryWithLock("reconcile", async () => {
    const { readded, reissued } = await reissueOverdueTasks(fleet);
    const takenOver = await takeOverExpiredSpawns(fleet);
    const slotsRepaired = await repairSlotDrift(fleet);
    const notificationsReissued = await reissueNotifications(fleet);
    const orders = await reconcileOrders(fleet);
    return { readded, reissued, takenOver, slotsRepaired, notificationsReissued, orders };
  });
}

/**
 * A job that is gone is added again under the same id; one that is there is waited for; one that ended without moving the
 * task is replaced under a new epoch, since the queue ignores an id it still keeps.
 */
async function reissueOverdueTasks(fleet: Fleet): Promise<{ readded: number; reissued: number }> {
  const overdue = await fleet.store.asSystem((tx) => listOverdueTasks(tx, GRACE_MS, MAX_PER_PASS));
  const byQueue = groupByQueue(overdue);
  let readded = 0;
  let reissued = 0;
  for (const tasks of byQueue.values()) {
    const jobs = tasks.flatMap((task) => {
      const job = jobFor(task);
      return job ? [{ task, ...job, id: job.queue.jobId(job.payload) }] : [];
    });
    const [first] = jobs;
    if (!first) {
      reissued += await reissueAll(fleet, tasks);
      continue;
    }
    if ((await fleet.broker.depth(first.queue)).waiting > MAX_QUEUE_DEPTH) continue;
    const states = await fleet.broker.getJobStatuses(
      first.queue,
      jobs.map(({ id }) => id),
    );
    const lost = jobs.filter(({ id }) => (states.get(id) ?? "missing") === "missing");
    const spent = jobs.filter(({ id }) => states.get(id) === "completed" || states.get(id) === "failed");
    await fleet.broker.addJobs(lost.map(({ queue, payload }) => ({ queue, payload })));
    const checked = jobs.filter((job) => !spent.includes(job)).map(({ task }) => task.id);
    await fleet.store.asSystem((tx) => postponeTasks(tx, checked, RECHECK_MS));
    readded += lost.length;
    reissued += await reissueAll(
      fleet,
      spent.map(({ task }) => task),
    );
  }
  return { readded, reissued };
}

function groupByQueue(tasks: readonly Task[]): Map<string, Task[]> {
  const groups = new Map<string, Task[]>();
  for (const task of tasks) groups.set(task.waitingFor ?? "", [...(groups.get(task.waitingFor ?? "") ?? []), task]);
  return groups;
}

async function reissueAll(fleet: Fleet, tasks: readonly Task[]): Promise<number> {
  let reissued = 0;
  for (const task of tasks) {
    if (task.waitingFor === "review") reissued += await reissueReviews(fleet, task);
    else if (await reissue(fleet, task)) reissued += 1;
  }
  return reissued;
}

async function reissue(fleet: Fleet, task: Task): Promise<boolean> {
  const next = nextJobFor(task);
  if (!next) return false;
  const move = { task, takeOver: true, actor: fleet.worker, action: "hint.reissued", next, dueMs: RECHECK_MS };
  return (await ignoreStale(applyTransition(fleet, move))) !== undefined;
}

/** A round waits for reviewers whose jobs may be lost: the rows say which. */
async function reissueReviews(fleet: Fleet, task: Task): Promise<number> {
  const reviews = await fleet.store.asSystem((tx) => listReviews(tx, [task.id]));
  const open = reviews.filter(
    ({ round, status }) => round === task.metadata.reviewRound && (status === "pending" || status === "running"),
  );
  if (open.length === 0) {
    // All have spoken, or nobody was to be asked: the worker that should have decided is dead.
    await fleet.store.asSystem((tx) => postponeTasks(tx, [task.id], RECHECK_MS));
    return (await ignoreStale(settleRound(fleet, { taskId: task.id, epoch: task.epoch }))) ? 1 : 0;
  }
  const jobs = open.map(({ id }) => ({
    queue: reviewQueue,
    payload: { taskId: task.id, epoch: task.epoch, reviewId: id },
  }));
  const ids = jobs.map(({ queue, payload }) => queue.jobId(payload));
  const states = await fleet.broker.getJobStatuses(reviewQueue, ids);
  const ended = ids.some((id) => states.get(id) === "completed" || states.get(id) === "failed");
  if (ended) {
    // Their ids are spent: the whole round goes on under a new epoch.
    const hints = (epoch: number) =>
      open.map(({ id }) => createHint(reviewQueue, { taskId: task.id, epoch, reviewId: id }));
    await ignoreStale(
      applyTransition(fleet, {
        task,
        takeOver: true,
        actor: fleet.worker,
        action: "hint.reissued",
        dueMs: RECHECK_MS,
        hints,
      }),
    );
    return 1;
  }
  await fleet.broker.addJobs(jobs.filter((_, index) => (states.get(ids[index] ?? "") ?? "missing") === "missing"));
  await fleet.store.asSystem((tx) => postponeTasks(tx, [task.id], RECHECK_MS));
  return jobs.length > 0 ? 1 : 0;
}

/** A worker died over a spawn: its host goes on with it under a new epoch, which fences the dead one should it wake. */
async function takeOverExpiredSpawns(fleet: Fleet): Promise<number> {
  const { expired, hosts } = await fleet.store.asSystem(async (tx) => ({
    expired: await listExpiredSpawns(tx, MAX_PER_PASS),
    hosts: await listHosts(tx),
  }));
  const alive = new Set(hosts.filter((host) => host.alive).map(({ id }) => id));
  let taken = 0;
  for (const task of expired) {
    if (!task.host || !alive.has(task.host)) continue; // the monitor decides when a host is lost
    const crashes = (task.metadata.crashes ?? 0) + 1;
    if (crashes > MAX_CRASHES) {
      await ignoreStale(
        failTask(fleet, task, {
          class: "environment_error",
          reason: "worker_crashes",
          summary: `The worker died ${MAX_CRASHES} times over this spawn.`,
        }),
      );
      continue;
    }
    const moved = await ignoreStale(
      applyTransition(fleet, {
        task,
        takeOver: true,
        actor: fleet.worker,
        action: "spawn.taken_over",
        patch: { metadata: { ...task.metadata, crashes } },
        leaseMs: RECHECK_MS,
        next: { queue: "host", hostId: task.host, act: "resume-spawn" },
      }),
    );
    if (moved) taken += 1;
  }
  return taken;
}

async function repairSlotDrift(fleet: Fleet): Promise<number> {
  const drift = await fleet.store.asSystem((tx) => listSlotDrift(tx));
  for (const { operatorId, active, counted } of drift) {
    fleet.log.warn(
      { event: "slots.leaked", operatorId, active, counted },
      "the slot counter was wrong and is put right",
    );
    await fleet.store.asSystem((tx) => repairSlots(tx, operatorId));
  }
  return drift.length;
}

async function reissueNotifications(fleet: Fleet): Promise<number> {
  const overdue = await fleet.store.asSystem((tx) => listOverdueNotifications(tx, GRACE_MS, MAX_PER_PASS));
  const ids = overdue.map((row) => notifyQueue.jobId({ notificationId: row.id, epoch: row.epoch }));
  const states = await fleet.broker.getJobStatuses(notifyQueue, ids);
  for (const [index, row] of overdue.entries()) {
    const state = states.get(ids[index] ?? "") ?? "missing";
    if (state === "waiting" || state === "active" || state === "delayed") continue;
    const epoch =
      state === "missing" ? row.epoch : await fleet.store.asSystem((tx) => bumpNotificationEpoch(tx, row.id));
    await fleet.broker.addJobs([{ queue: notifyQueue, payload: { notificationId: row.id, epoch } }]);
  }
  return overdue.length;
}
