/** The reconciler: replaces lost jobs and takes over from dead workers. Each pass is bounded and safe to repeat. */
import { notifyQueue, type NotifyJob } from "../../../queues/notify.ts";
import { reviewQueue } from "../../../queues/review.ts";
import type { Task } from "../../domain/task/task.ts";
import { listHosts } from "../../store/hosts.ts";
import { bumpNotificationEpochs, listOverdueNotifications } from "../../store/notifications.ts";
import { listReviews } from "../../store/reviews.ts";
import { createHint } from "../../store/outbox.ts";
import { listExpiredSpawns, listOverdueTasks, listSlotDrift, postponeTasks, repairSlots } from "../../store/tasks.ts";
import { failTask } from "../tasks/fail.ts";
import type { Fleet } from "../fleet.ts";
import { requeueLost } from "../requeue.ts";
import { applyTransition, awaitedQueue, ignoreStale, nextJobFor, TASK_QUEUES, taskJob } from "../tasks/transition.ts";
import { reconcileOrders } from "../orders/reconcile.ts";
import { settleRound } from "../delivery/review.ts";

/** Of each kind: an unbounded pass over everything would create work for itself and never end. */
const MAX_PER_PASS = 500;
/** A hint does not count as lost before this. */
const GRACE_MS = 3_000;
/** How long a task is left alone after a check. */
const RECHECK_MS = 5_000;
/** Takeovers after worker crashes; they do not count against max_retries. */
const MAX_CRASHES = 8;
/** With more waiting jobs than this, the queue itself is the reason for waiting, and more jobs would not help. */
const MAX_QUEUE_DEPTH = 10_000;

export interface ReconcileResult {
  readonly readded: number;
  readonly reissued: number;
  readonly takenOver: number;
  readonly slotsRepaired: number;
  readonly notificationsReissued: number;
  /** Orders that were queued again, or taken over from dead workers. */
  readonly orders: number;
}

/** One pass; undefined when another worker is running one. */
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

async function reissueOverdueTasks(fleet: Fleet): Promise<{ readded: number; reissued: number }> {
  const overdue = await fleet.store.asSystem((tx) => listOverdueTasks(tx, GRACE_MS, MAX_PER_PASS));
  const withoutQueue = overdue.filter((task) => !awaitedQueue(task));
  let readded = 0;
  let reissued = await reissueAll(fleet, withoutQueue);
  for (const [name, queue] of Object.entries(TASK_QUEUES)) {
    const tasks = overdue.filter((task) => awaitedQueue(task) === name);
    if (tasks.length === 0 || (await fleet.broker.depth(queue)).waiting > MAX_QUEUE_DEPTH) continue;
    const { lost, spent, queued } = await requeueLost(fleet, queue, tasks, taskJob);
    const ids = queued.map(({ id }) => id);
    await fleet.store.asSystem((tx) => postponeTasks(tx, ids, RECHECK_MS));
    readded += lost.length;
    reissued += await reissueAll(fleet, spent);
  }
  return { readded, reissued };
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

/** A review round waits for the jobs of its reviewers; its rows say which reviews are open. */
async function reissueReviews(fleet: Fleet, task: Task): Promise<number> {
  const reviews = await fleet.store.asSystem((tx) => listReviews(tx, [task.id]));
  const open = reviews.filter(
    ({ round, status }) => round === task.metadata.reviewRound && (status === "pending" || status === "running"),
  );
  if (open.length === 0) {
    // All verdicts are in, or there are no reviewers: the worker that should have settled the round died.
    await fleet.store.asSystem((tx) => postponeTasks(tx, [task.id], RECHECK_MS));
    return (await ignoreStale(settleRound(fleet, { taskId: task.id, epoch: task.epoch }))) ? 1 : 0;
  }
  const payloadOf = (reviewId: string, epoch: number) => ({ taskId: task.id, epoch, reviewId });
  const { spent } = await requeueLost(fleet, reviewQueue, open, ({ id }) => payloadOf(id, task.epoch));
  if (spent.length === 0) {
    await fleet.store.asSystem((tx) => postponeTasks(tx, [task.id], RECHECK_MS));
    return 1;
  }
  // The task has one epoch, so all open reviews of the round get new jobs.
  const hints = (epoch: number) => open.map(({ id }) => createHint(reviewQueue, payloadOf(id, epoch)));
  const move = { task, takeOver: true, actor: fleet.worker, action: "hint.reissued", dueMs: RECHECK_MS, hints };
  await ignoreStale(applyTransition(fleet, move));
  return 1;
}

/** A worker died during a spawn: its host resumes it under a new epoch, which fences off the first worker if it is alive. */
async function takeOverExpiredSpawns(fleet: Fleet): Promise<number> {
  const { expired, hosts } = await fleet.store.asSystem(async (tx) => ({
    expired: await listExpiredSpawns(tx, MAX_PER_PASS),
    hosts: await listHosts(tx),
  }));
  const alive = new Set(hosts.filter((host) => host.alive).map(({ id }) => id));
  let taken = 0;
  for (const task of expired) {
    if (!task.host || !alive.has(task.host)) continue; // the monitor decides whether the host is lost
    const crashes = (task.metadata.crashes ?? 0) + 1;
    if (crashes > MAX_CRASHES) {
      await ignoreStale(
        failTask(fleet, task, {
          class: "environment_error",
          reason: "worker_crashes",
          summary: `The worker crashed ${MAX_CRASHES} times during this spawn.`,
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
      "slot counter was wrong and has been corrected",
    );
    await fleet.store.asSystem((tx) => repairSlots(tx, operatorId));
  }
  return drift.length;
}

async function reissueNotifications(fleet: Fleet): Promise<number> {
  const overdue = await fleet.store.asSystem((tx) => listOverdueNotifications(tx, GRACE_MS, MAX_PER_PASS));
  const { lost, spent } = await requeueLost(fleet, notifyQueue, overdue, notifyJob);
  const ids = spent.map(({ id }) => id);
  const renewed = await fleet.store.asSystem((tx) => bumpNotificationEpochs(tx, ids));
  await fleet.broker.addJobs(renewed.map((row) => ({ queue: notifyQueue, payload: notifyJob(row) })));
  return lost.length + spent.length;
}

function notifyJob({ id, epoch }: { readonly id: string; readonly epoch: number }): NotifyJob {
  return { notificationId: id, epoch };
}
