/** Waiting for a host: while no slot is free, or other tasks are before it, a task waits until it is offered a slot. */
import { Cap, resetAt, describeCap } from "../../domain/budget.ts";
import { nextInLine } from "../../domain/fair-queue.ts";
import { listHosts } from "../../store/hosts.ts";
import { countCalledTasks, hasSlotWaiters, listSlotQueue, markServed } from "../../store/slot-queue.ts";
import type { Tx } from "../../store/sql.ts";
import { listTasksById, postponeTasks } from "../../store/tasks.ts";
import { transitionTask } from "../../store/transitions.ts";
import type { Task } from "../../domain/task/task.ts";
import type { Fleet } from "../fleet.ts";
import { buildTransition, ignoreStale, type TransitionRequest } from "./transition.ts";

/** A safety net only: slots are offered whenever one becomes free, and at every tick. */
const OFFER_RECHECK_MS = 60_000;
/** For budgets that never reset: a raised budget is noticed after this at the latest. */
const BUDGET_RECHECK_MS = 10 * 60_000;
/** Per call; the next call offers the rest. */
const MAX_OFFERED = 64;
/** Positions in the queue are shown up to here. */
const MAX_POSITIONS = 1_000;

/** A free slot is reserved for the task that was offered it; any other task joins the queue, if there is one. */
export async function mustWait(tx: Tx, task: Task, free: number): Promise<boolean> {
  return free <= 0 || (!hasOffer(task) && (await hasSlotWaiters(tx)));
}

function hasOffer({ conditionDetail }: Task): boolean {
  return conditionDetail?.["called"] === true;
}

/** Postpones the task, since otherwise the reconciler would add a job again and again for every task that waits. */
export async function waitForSlot(fleet: Fleet, tx: Tx, task: Task): Promise<undefined> {
  if (task.condition === "waiting_slot") {
    // The row already says so, and only the time is new.
    await postponeTasks(tx, [task.id], OFFER_RECHECK_MS);
    return undefined;
  }
  const again = hasOffer(task) ? { again: true } : {};
  const patch = { condition: "waiting_slot" as const, conditionDetail: { host: fleet.host.id, ...again } };
  await transitionTask(
    tx,
    buildTransition(fleet, {
      task,
      actor: fleet.worker,
      action: "spawn.waits_for_slot",
      patch,
      dueMs: OFFER_RECHECK_MS,
    }),
  );
  return undefined;
}

/** While its budget is used up, the task is not in the queue; it tries again when a daily cap resets, or after a while. */
export async function waitForBudget(fleet: Fleet, tx: Tx, task: Task, cap: Cap): Promise<undefined> {
  const resets = resetAt(cap, fleet.clock());
  const dueMs = resets ? resets.getTime() - fleet.clock().getTime() : BUDGET_RECHECK_MS;
  const waits = task.condition === "waiting_slot" ? task.conditionDetail?.["budget"] : undefined;
  if (Cap.safeParse(waits).data?.what === cap.what) {
    await postponeTasks(tx, [task.id], dueMs);
    return undefined;
  }
  const patch = { condition: "waiting_slot" as const, conditionDetail: { budget: cap } };
  const move = { task, actor: fleet.worker, action: "spawn.waits_for_budget", message: describeCap(cap), patch, dueMs };
  await transitionTask(tx, buildTransition(fleet, move));
  return undefined;
}

/** Offers each free slot to the next task in the queue, and returns how many. One caller at a time in the whole fleet. */
export async function offerSlots(fleet: Fleet): Promise<number> {
  const offered = await fleet.store.tryWithLock("offer-slots", async (tx) => {
    const hosts = (await listHosts(tx)).filter(({ alive, draining }) => alive && !draining);
    const slots = hosts.reduce((sum, { slots: all, held }) => sum + Math.max(0, all - held), 0);
    if (slots === 0 || !(await hasSlotWaiters(tx))) return 0;
    const free = Math.min(MAX_OFFERED, slots - (await countCalledTasks(tx)));
    if (free <= 0) return 0;
    const next = nextInLine(await listSlotQueue(tx, free), free);
    const ids = next.map(({ id }) => id);
    const tasks = new Map((await listTasksById(tx, ids)).map((task) => [task.id, task]));
    for (const id of ids) {
      const task = tasks.get(id);
      if (task) await ignoreStale(offerSlot(fleet, tx, task));
    }
    await markServed(tx, next);
    return next.length;
  });
  if (offered) fleet.kickRelay();
  return offered ?? 0;
}

/** For each task that waits for a host: how many tasks are before it now. Positions past MAX_POSITIONS are left out. */
export async function queuePositions(fleet: Fleet): Promise<ReadonlyMap<string, number>> {
  const waiting = await fleet.store.asSystem((tx) => listSlotQueue(tx, MAX_POSITIONS));
  return new Map(nextInLine(waiting, MAX_POSITIONS).map(({ id }, position) => [id, position]));
}

function offerSlot(fleet: Fleet, tx: Tx, task: Task): Promise<Task> {
  const request: TransitionRequest = {
    task,
    takeOver: true,
    actor: fleet.worker,
    action: "spawn.slot_offered",
    patch: { condition: "ok", conditionDetail: { called: true } },
    next: { queue: "spawn" },
  };
  return transitionTask(tx, buildTransition(fleet, request));
}
