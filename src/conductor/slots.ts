/** Waiting for a host: a task that finds all slots taken says so and is called when one is free, oldest of each tenant first. */
import { listHosts } from "../store/hosts.ts";
import type { Tx } from "../store/sql.ts";
import { listWaitingForSlot, postponeTasks } from "../store/tasks.ts";
import { transitionTask } from "../store/transitions.ts";
import { StaleVersionError } from "../domain/errors.ts";
import type { Task } from "../domain/task.ts";
import type { Fleet } from "./fleet.ts";
import { transitionOf } from "./move.ts";

/** A safety net only: whoever frees a slot calls the next one, and so does every tick. */
const CALLED_WITHIN_MS = 60_000;

/** The job that asked is answered; without this the reconciler would ask again and again for everybody who waits. */
export async function waitForSlot(fleet: Fleet, tx: Tx, task: Task): Promise<undefined> {
  if (task.condition === "waiting_slot") {
    // Said before: nothing is new but the time.
    await postponeTasks(tx, [task.id], CALLED_WITHIN_MS);
    return undefined;
  }
  const patch = { condition: "waiting_slot" as const, conditionDetail: { host: fleet.host.id } };
  await transitionTask(
    tx,
    transitionOf(fleet, { task, actor: fleet.worker, action: "spawn.waits_for_slot", patch, dueMs: CALLED_WITHIN_MS }),
  );
  return undefined;
}

/** Calls as many as there are free slots that nobody is on the way to; how many. One caller at a time in the whole fleet. */
export async function offerSlots(fleet: Fleet): Promise<number> {
  const called = await fleet.store.exclusively("offer-slots", async (tx) => {
    const hosts = (await listHosts(tx)).filter(({ alive, draining }) => alive && !draining);
    const free = hosts.reduce((sum, { slots, held }) => sum + Math.max(0, slots - held), 0);
    if (free === 0) return 0;
    const tasks = await listWaitingForSlot(tx, free);
    for (const task of tasks) await call(fleet, tx, task);
    return tasks.length;
  });
  if (called) fleet.kickRelay();
  return called ?? 0;
}

async function call(fleet: Fleet, tx: Tx, task: Task): Promise<void> {
  const patch = { condition: "ok" as const, conditionDetail: null };
  const move = {
    task,
    takeOver: true,
    actor: fleet.worker,
    action: "spawn.slot_offered",
    patch,
    next: { queue: "spawn" as const },
  };
  await transitionTask(tx, transitionOf(fleet, move)).catch((error: unknown) => {
    if (!(error instanceof StaleVersionError)) throw error;
  });
}
