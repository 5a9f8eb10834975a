/** Which fault strikes when: first every step deterministically, then each fault alone, then all mixed until the tasks are done. */
import { setTimeout as pause } from "node:timers/promises";
import { startDuplicates } from "./duplicates.ts";
import {
  awaitDeath,
  dyingAt,
  cutPostgres,
  cutRedis,
  flushRedis,
  KILL_POINTS,
  killRandomly,
  killWeb,
  rollWorkers,
  stopAndContinue,
  type Arena,
} from "./faults.ts";
import { shuffled, type Fault } from "./options.ts";
import type { Program } from "./program.ts";

const F2_POINTS = [
  "process:before",
  "workspace:after",
  "heartbeat:after",
  "merge:after",
  "publish:before",
  "claim:after",
];
/** Two at a time die on purpose, one is left alone. */
const LANES = 2;
/** Waits in vain, before the points that nobody met are left. */
const MOST_MISSES = 6;

/** Ends when the arena is over. `arena.say` hears of each phase. */
export async function strikeAll(arena: Arena, faults: readonly Fault[]): Promise<{ duplicated: number }> {
  const { say } = arena;
  if (faults.includes("F1")) {
    say(`F1: ${KILL_POINTS.length} points, ${arena.rounds} times`);
    await killEverywhere(arena);
  }
  if (faults.includes("F2")) {
    say("F2: sleepers");
    await putToSleep(arena);
  }
  const duplicates = faults.includes("F22") ? await startDuplicates(arena.stage, arena.random) : undefined;
  if (duplicates) say("F22: from now on every job comes three times more");
  const single = faults.filter((fault) => fault !== "F1" && fault !== "F2" && fault !== "F22");
  say(`then at random: ${single.join(", ") || "nothing more"}`);
  await strikeAtRandom(arena, single);
  await duplicates?.stop();
  return { duplicated: duplicates?.count ?? 0 };
}

async function putToSleep(arena: Arena): Promise<void> {
  for (const point of shuffled(F2_POINTS, arena.random).slice(0, 4)) {
    const place = someWorker(arena);
    if (place && !arena.isOver()) await stopAndContinue(arena, place, point);
  }
}

/** Until the arena is over; every fault once before any comes again. */
async function strikeAtRandom(arena: Arena, faults: readonly Fault[]): Promise<void> {
  let bag: Fault[] = [];
  while (!arena.isOver()) {
    if (bag.length === 0) bag = shuffled([...faults], arena.random);
    const fault = bag.pop();
    if (fault) await strikeOne(arena, fault);
    await pause(fault ? 500 + arena.random() * 1_500 : 100);
  }
}

async function strikeOne(arena: Arena, fault: Fault): Promise<void> {
  if (fault === "F1r") await killRandomly(arena);
  else if (fault === "F1w") await killWeb(arena);
  else if (fault === "F3") await rollWorkers(arena);
  else if (fault === "F5") await cutRedis(arena);
  else if (fault === "F6") await flushRedis(arena);
  else if (fault === "F10") await cutPostgres(arena);
}

/** Every point as often as asked; a lane's worker has half of what is still due, so that rare points get their turn too. */
async function killEverywhere(arena: Arena): Promise<void> {
  const due = new Map(KILL_POINTS.map((point) => [point, arena.rounds]));
  const busy = new Set<Program>();
  let misses = 0;
  const points = (half: number) => {
    const open = shuffled(
      [...due].flatMap(([point, times]) => (times > 0 ? [point] : [])),
      arena.random,
    );
    return open.length === 1 ? open : open.filter((_, at) => at % LANES === half);
  };
  async function lane(half: number): Promise<void> {
    const place = arena.crew.workers().find((worker) => !busy.has(worker));
    if (!place) return;
    busy.add(place);
    let armed = await arena.crew.replace(place, dyingAt(points(half)));
    while (misses < MOST_MISSES && !arena.isOver() && points(half).length > 0) {
      // The next one dies too: a start less for each death.
      arena.crew.armNext(armed, dyingAt(points(half)));
      const point = await awaitDeath(arena, armed);
      if (point !== undefined) due.set(point, (due.get(point) ?? 1) - 1);
      else misses += 1;
      armed =
        point === undefined
          ? await arena.crew.replace(armed, dyingAt(points(half)))
          : await arena.crew.successor(armed);
    }
    arena.crew.armNext(armed, {});
    await arena.crew.replace(armed, {});
  }
  await Promise.all(Array.from({ length: LANES }, (_, half) => lane(half)));
  const missed = [...due].flatMap(([point, times]) => (times > 0 ? [`${point} (${times})`] : []));
  if (missed.length > 0) arena.say(`F1: not met in time: ${missed.join(", ")}`);
}

function someWorker(arena: Arena): Program | undefined {
  return arena.crew.workers().find((worker) => !worker.isOver());
}
