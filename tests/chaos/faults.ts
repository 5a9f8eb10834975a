/**
 * The faults themselves: each is injected once, waits until it is over, and records when. The recovery is measured
 * from the log later.
 */
import { setTimeout as pause } from "node:timers/promises";
import { monitorQueue } from "../../queues/monitor.ts";
import type { WorkerPool } from "./workers.ts";
import type { Fault } from "./options.ts";
import type { Program } from "./program.ts";
import { TICK_MS, type ChaosEnvironment } from "./environment.ts";

export interface FaultRecord {
  readonly fault: Fault;
  readonly at: number;
  readonly point?: string;
  /** The task or notification whose next transition is the recovery; by default all tasks that the process held. */
  readonly subject?: string | undefined;
  readonly pid?: number;
  /** Measured at once: how long a process took to exit, how long schedules paused. */
  readonly tookMs?: number;
  readonly wrong?: string;
}

export interface ChaosContext {
  readonly stage: ChaosEnvironment;
  readonly crew: WorkerPool;
  readonly strikes: FaultRecord[];
  readonly random: () => number;
  readonly isOver: () => boolean;
  /** How often each point of F1 must be reached. */
  readonly rounds: number;
  readonly say: (text: string) => void;
}

const STEPS =
  "claim workspace install prompt process heartbeat compensate publish merge ci review retry notify cleanup".split(" ");
export const KILL_POINTS = ["relay:between", ...STEPS.flatMap((step) => [`${step}:before`, `${step}:after`])];
/** Some steps are rare, so the run does not wait to the end for a worker that reaches none of its points. */
const KILL_TIMEOUT_MS = 20_000;

export const killAtEnv = (points: readonly string[]) => ({ FLEET_KILL_AT: points.join(",") });

/** F1: waits for a worker that kills itself at the first of its points; undefined when it reached none. */
export async function awaitDeath(arena: ChaosContext, armed: Program): Promise<string | undefined> {
  arena.crew.expectExit(armed);
  await Promise.race([armed.ended, pause(KILL_TIMEOUT_MS, undefined, { ref: false }), untilOver(arena)]);
  const struck = armed.struck();
  if (!struck) return undefined;
  await armed.ended;
  arena.strikes.push({ fault: "F1", ...struck, pid: armed.pid });
  return struck.point;
}

export async function killRandomly(arena: ChaosContext): Promise<void> {
  const worker = pick(arena, arena.crew.workers());
  if (!worker) return;
  arena.crew.expectExit(worker);
  worker.signal("SIGKILL");
  const { at } = await worker.ended;
  arena.strikes.push({ fault: "F1r", at, pid: worker.pid });
  await arena.crew.successor(worker);
}

export async function killWeb(arena: ChaosContext): Promise<void> {
  const web = arena.crew.web();
  arena.crew.expectExit(web);
  web.signal("SIGKILL");
  const { at } = await web.ended;
  await arena.crew.successor(web);
  arena.strikes.push({ fault: "F1w", at, tookMs: Date.now() - at });
}

/**
 * F2: longer than the lock (6 s + 1.5 s), the lease (4 s) and the host's lease (three ticks); then it continues where
 * it was.
 */
export async function stopAndContinue(arena: ChaosContext, target: Program, point: string): Promise<Program> {
  const armed = await arena.crew.replace(target, { FLEET_STOP_AT: point });
  await Promise.race([
    until(() => armed.struck() !== undefined || armed.isOver()),
    pause(20_000, undefined, { ref: false }),
    untilOver(arena),
  ]);
  const struck = armed.struck();
  if (!struck) return armed;
  await pause(10_000);
  arena.strikes.push({ fault: "F2", at: struck.at, point, subject: struck.subject, pid: armed.pid });
  armed.signal("SIGCONT");
  await pause(1_500);
  return armed;
}

export async function rollWorkers(arena: ChaosContext): Promise<void> {
  for (const worker of arena.crew.workers()) {
    // A process that is only starting has nothing to hand over, and SIGTERM simply ends it.
    const isUp = await worker.ready.then(
      () => true,
      () => false,
    );
    if (!isUp || worker.isOver()) continue;
    arena.crew.expectExit(worker);
    const at = Date.now();
    worker.signal("SIGTERM");
    const { code, signal, at: endedAt } = await worker.ended;
    const wrong = code === 0 ? {} : { wrong: `${worker.name} left with ${code ?? signal}` };
    arena.strikes.push({ fault: "F3", at, pid: worker.pid, tookMs: endedAt - at, ...wrong });
    await arena.crew.successor(worker);
  }
}

export async function cutRedis(arena: ChaosContext): Promise<void> {
  const { redis } = arena.stage;
  if (!redis) return;
  await redis.kill(Math.round(200 + arena.random() * 4_000));
  await pause(500 + arena.random() * 1_500);
  await redis.start();
  arena.strikes.push({ fault: "F5", at: Date.now() });
  await pause(4_000);
}

export async function flushRedis(arena: ChaosContext): Promise<void> {
  const { redis, open } = arena.stage;
  if (!redis) return;
  await redis.flush();
  const at = Date.now();
  let tookMs = Infinity;
  while (Date.now() - at < 20_000 && tookMs === Infinity) {
    const schedulers = await open.broker.listSchedulers([monitorQueue]).catch(() => []);
    const ticking = schedulers.filter(({ nextAt }) => nextAt && nextAt.getTime() > at);
    if (ticking.length >= 4) tookMs = Date.now() - at;
    else await pause(25);
  }
  // The slowest one checks every two ticks.
  const late = tookMs > 4 * TICK_MS + 1_000 ? { wrong: `schedules ticked again only after ${tookMs} ms` } : {};
  arena.strikes.push({ fault: "F6", at, ...late });
  await pause(2_500);
}

export async function cutPostgres(arena: ChaosContext): Promise<void> {
  const before = new Set([...arena.crew.workers(), arena.crew.web()]);
  await arena.stage.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where pid <> pg_backend_pid() and backend_type = 'client backend' and application_name <> 'chaos'`,
  );
  const at = Date.now();
  await pause(2_500);
  const gone = [...before].filter((program) => program.isOver()).map(({ name }) => name);
  arena.strikes.push({ fault: "F10", at, ...(gone.length > 0 ? { wrong: `ended: ${gone.join(", ")}` } : {}) });
}

function pick<Item>(arena: ChaosContext, items: readonly Item[]): Item | undefined {
  return items[Math.floor(arena.random() * items.length)];
}

async function untilOver(arena: ChaosContext): Promise<void> {
  await until(arena.isOver);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(50, undefined, { ref: false });
}
