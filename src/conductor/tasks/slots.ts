/** Waiting for a host: a task that finds all slots taken, or others in line, waits, and is called in its tenant's turn. */
import { Cap, resetAt, describeCap } from "../../domain/budget.ts";
import { nextInLine } from "../../domain/fair-queue.ts";
import { listHosts } from "../../store/hosts.ts";
import { countCalledTasks, hasSlotWaiters, listSlotQueue, markServed } from "../../store/slot-queue.ts";
import type { Tx } from "../../store/sql.ts";
import { listTasksById, postponeTasks } from "../../store/tasks.ts";
import { transitionTask } from "../../store/transitions.ts";
import { StaleVersionError } from "../../domain/errors.ts";
import type { Task } from "../../domain/task/task.ts";
import type { Fleet } from "../fleet.ts";
import { buildTransition } from "./transition.ts";

/** A safety net only: the process that frees a slot calls the next one, and so does every tick. */
const OFFER_RECHECK_MS = 60_000;
/** A new budget wakes those who wait; this is for what was not told. */
const BUDGET_RECHECK_MS = 10 * 60_000;
/** In one go; the next look calls the rest. */
const MAX_OFFERED = 64;
/** Places in line are told up to here. */
const MAX_POSITIONS = 1_000;

/** A slot that is free belongs to the task that was called to it; anybody else goes to the end of the line, if there is one. */
export async function mustWait(tx: Tx, task: Task, free: number): Promise<boolean> {
  return free <= 0 || (!hasOffer(task) && (await hasSlotWaiters(tx)));
}

function hasOffer({ conditionDetail }: Task): boolean {
  return conditionDetail?.["called"] === true;
}

/** The job that asked is answered; without this the reconciler would ask again and again for everybody who waits. */
export async function waitForSlot(fleet: Fleet, tx: Tx, task: Task): Promise<undefined> {
  if (task.condition === "waiting_slot") {
    // Said before: nothing is new but the time.
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

/** Used up: it is not in the line, and asks again when the day's caps reset, or now and then. */
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

/** Calls as many as there are free slots that nobody is on the way to; how many. One caller at a time in the whole fleet. */
export async function offerSlots(fleet: Fleet): Promise<number> {
  const called = await fleet.store.tryWithLock("offer-slots", async (tx) => {
    const hosts = (await listHosts(tx)).filter(({ alive, draining }) => alive && !draining);
    const slots = hosts.reduce((sum, { slots: all, held }) => sum + Math.max(0, all - held), 0);
    if (slots === 0 || !(await hasSlotWaiters(tx))) return 0;
    const free = Math.min(MAX_OFFERED, slots - (await countCalledTasks(tx)));
    if (free <= 0) return 0;
    const next = nextInLine(await listSlotQueue(tx, free), free);
    const tasks = new Map(
      (
        await listTasksById(
          tx,
          next.map(({ id }) => id),
        )
      ).map((task) => [task.id, task]),
    );
    for (const { id } of next) {
      const task = tasks.get(id);
      if (task) await offerSlot(fleet, tx, task);
    }
    await markServed(tx, next);
    return next.length;
  });
  if (called) fleet.kickRelay();
  return called ?? 0;
}

/** How many are called before each of those that wait for a host, as things stand; beyond the first thousand nobody counts. */
export async function queuePositions(fleet: Fleet): Promise<ReadonlyMap<string, number>> {
  const waiting = await fleet.store.asSystem((tx) => listSlotQueue(tx, MAX_POSITIONS));
  return new Map(nextInLine(waiting, MAX_POSITIONS).map(({ id }, position) => [id, position]));
}

async function offerSlot(fleet: Fleet, tx: Tx, task: Task): Promise<void> {
  const patch = { condition: "ok" as const, conditionDetail: { called: true } };
  const move = {
    task,
    takeOver: true,
    actor: fleet.worker,
    action: "spawn.slot_offered",
    patch,
    next: { queue: "spawn" as const },
  };
  await transitionTask(tx, buildTransition(fleet, move)).catch((error: unknown) => {
    if (!(error instanceof StaleVersionError)) throw error;
  });
}
