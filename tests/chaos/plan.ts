/**
 * Which fault is injected when: first every step deterministically, then each fault alone, then all mixed until the
 * tasks are done.
 */
import { setTimeout as pause } from "node:timers/promises";
import { startDuplicates } from "./duplicates.ts";
import {
  awaitDeath,
  killAtEnv,
  cutPostgres,
  cutRedis,
  flushRedis,
  KILL_POINTS,
  killRandomly,
  killWeb,
  rollWorkers,
  stopAndContinue,
  type ChaosContext,
} from "./faults.ts";
import { shuffle, type Fault } from "./options.ts";
import type { Program } from "./program.ts";

const F2_POINTS = [
  "process:before",
  "workspace:after",
  "heartbeat:after",
  "merge:after",
  "publish:before",
  "claim:after",
];
/** Two workers at a time die on purpose, and one is left alone. */
const LANES = 2;
/** Unsuccessful waits before the remaining points are given up. */
const MAX_MISSES = 6;

/** Ends when the run is over. `arena.say` gets each phase. */
export async function injectFaults(arena: ChaosContext, faults: readonly Fault[]): Promise<{ duplicated: number }> {
  const { say } = arena;
  if (faults.includes("F1")) {
    say(`F1: ${KILL_POINTS.length} points, ${arena.rounds} times`);
    await killEverywhere(arena);
  }
  if (faults.includes("F2")) {
    say("F2: stopped workers");
    await stopWorkers(arena);
  }
  const duplicates = faults.includes("F22") ? await startDuplicates(arena.stage, arena.random) : undefined;
  if (duplicates) say("F22: from now on every job comes three times more");
  const single = faults.filter((fault) => fault !== "F1" && fault !== "F2" && fault !== "F22");
  say(`then at random: ${single.join(", ") || "nothing more"}`);
  await injectAtRandom(arena, single);
  await duplicates?.stop();
  return { duplicated: duplicates?.count ?? 0 };
}

async function stopWorkers(arena: ChaosContext): Promise<void> {
  for (const point of shuffle(F2_POINTS, arena.random).slice(0, 4)) {
    const target = someWorker(arena);
    if (target && !arena.isOver()) await stopAndContinue(arena, target, point);
  }
}

/** Until the run is over; every fault once before any repeats. */
async function injectAtRandom(arena: ChaosContext, faults: readonly Fault[]): Promise<void> {
  let bag: Fault[] = [];
  while (!arena.isOver()) {
    if (bag.length === 0) bag = shuffle([...faults], arena.random);
    const fault = bag.pop();
    if (fault) await injectFault(arena, fault);
    await pause(fault ? 500 + arena.random() * 1_500 : 100);
  }
}

async function injectFault(arena: ChaosContext, fault: Fault): Promise<void> {
  if (fault === "F1r") await killRandomly(arena);
  else if (fault === "F1w") await killWeb(arena);
  else if (fault === "F3") await rollWorkers(arena);
  else if (fault === "F5") await cutRedis(arena);
  else if (fault === "F6") await flushRedis(arena);
  else if (fault === "F10") await cutPostgres(arena);
}

/**
 * Every point as often as requested; a lane's worker has half of what is still due, so that rare points get their
 * turn too.
 */
async function killEverywhere(arena: ChaosContext): Promise<void> {
  const due = new Map(KILL_POINTS.map((point) => [point, arena.rounds]));
  const busy = new Set<Program>();
  let misses = 0;
  const points = (half: number) => {
    const open = shuffle(
      [...due].flatMap(([point, times]) => (times > 0 ? [point] : [])),
      arena.random,
    );
    return open.length === 1 ? open : open.filter((_, at) => at % LANES === half);
  };
  async function lane(half: number): Promise<void> {
    const target = arena.crew.workers().find((worker) => !busy.has(worker));
    if (!target) return;
    busy.add(target);
    let armed = await arena.crew.replace(target, killAtEnv(points(half)));
    while (misses < MAX_MISSES && !arena.isOver() && points(half).length > 0) {
      // The next worker dies too, which saves one start per death.
      arena.crew.armNext(armed, killAtEnv(points(half)));
      const point = await awaitDeath(arena, armed);
      if (point !== undefined) due.set(point, (due.get(point) ?? 1) - 1);
      else misses += 1;
      armed =
        point === undefined
          ? await arena.crew.replace(armed, killAtEnv(points(half)))
          : await arena.crew.successor(armed);
    }
    arena.crew.armNext(armed, {});
    await arena.crew.replace(armed, {});
  }
  await Promise.all(Array.from({ length: LANES }, (_, half) => lane(half)));
  const missed = [...due].flatMap(([point, times]) => (times > 0 ? [`${point} (${times})`] : []));
  if (missed.length > 0) arena.say(`F1: not met in time: ${missed.join(", ")}`);
}

function someWorker(arena: ChaosContext): Program | undefined {
  return arena.crew.workers().find((worker) => !worker.isOver());
}
