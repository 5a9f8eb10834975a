/** Rows 4, 5, 11: from request to first heartbeat, for one spawn and for twenty, compared with the same steps by hand; and the memory of a supervisor. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { requestSpawn } from "../../src/conductor/attempts/spawn.ts";
import { SpawnRequest } from "../../src/domain/task/spawn.ts";
import type { Task } from "../../src/domain/task/task.ts";
import { startWorker } from "../../src/processes/worker.ts";
import { upsertOperator } from "../../src/store/operators.ts";
import { getTask } from "../../src/store/tasks.ts";
import { newCheckout } from "../../tests/support/repositories.ts";
import { toScoreLine, type ScoreLine } from "../line.ts";
import { pickFigure, interleave, computePercentiles, type Figures } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { runConcurrently, OPERATOR } from "../seed.ts";
import { openStack } from "../stack.ts";
import { openTmuxServer, type Tmux } from "../tmux.ts";
import type { BenchWorld } from "../world.ts";

const run = promisify(execFile);
const AT_ONCE = 20;
const FILES = 100;

export const spawnRow: BenchRow = {
  rows: ["4", "5", "11"],
  what: "spawns and their supervisors",
  async measure(world) {
    const repository = await aRepository(world);
    const spawner = await openSpawner(world, repository);
    const hand = await openManualSpawner(world, repository);
    const weights: number[] = [];
    const lines = [
      ...(await oneByOne(world, spawner, hand)),
      await spawnTwenty(world, spawner, hand, (weight) => weights.push(weight)),
    ];
    const options = {
      row: "11",
      what: "memory of one supervisor, its logger and beater",
      reference: "sh itself (PSS)",
      unit: "MiB",
      compared: "value",
      target: { atMost: 3 },
    } as const;
    const shell = await measureShellMemory();
    return [
      ...lines,
      toScoreLine(
        options,
        weights,
        weights.map(() => shell),
      ),
    ];
  },
};

async function oneByOne(world: BenchWorld, spawner: Spawner, hand: ManualSpawner): Promise<ScoreLine[]> {
  const repeats = world.size(5, 2);
  const repeat = async (spawn: () => Promise<number>, tidy: () => Promise<unknown>): Promise<Figures> => {
    const taken: number[] = [];
    for (let at = 0; at < repeats; at += 1) taken.push(await spawn());
    await tidy();
    return computePercentiles(taken);
  };
  await spawner.one();
  await hand.one();
  await spawner.tidy();
  await hand.tidy();
  const samples = await interleave(
    world.rounds,
    () => repeat(spawner.one, spawner.tidy),
    () => repeat(hand.one, hand.tidy),
  );
  const options = {
    row: "4",
    reference: "git worktree add + tmux new-session + program, by hand",
    unit: "ms",
    target: { atMost: 1.5 },
    wrong: spawner.wrong(),
    reason:
      "seven commits to disk (admit, relay, claim, prepared, running) and a supervisor with logger and fence stand between",
  };
  return ["p50", "p95"].map((name) =>
    toScoreLine(
      { ...options, what: `request → first heartbeat, ${name}` },
      pickFigure(samples.ours, name),
      pickFigure(samples.theirs, name),
    ),
  );
}

async function spawnTwenty(
  world: BenchWorld,
  spawner: Spawner,
  hand: ManualSpawner,
  weigh: (mib: number) => unknown,
): Promise<ScoreLine> {
  const samples = await interleave(
    world.quick ? 1 : world.rounds,
    async () => {
      const from = performance.now();
      await Promise.all(Array.from({ length: AT_ONCE }, () => spawner.one()));
      const total = performance.now() - from;
      weigh(spawner.supervisorMemory());
      await spawner.tidy();
      return { total };
    },
    async () => {
      const from = performance.now();
      for (let at = 0; at < AT_ONCE; at += 1) await hand.one();
      const total = performance.now() - from;
      await hand.tidy();
      return { total };
    },
  );
  const options = {
    row: "5",
    what: `${AT_ONCE} spawns at once, all beating`,
    reference: "the same commands by hand, one after another",
    unit: "ms",
    target: { atMost: 1.2 },
    wrong: spawner.wrong(),
    reason: "as row 4; two cores have no third for the second spawn",
  };
  return toScoreLine(options, pickFigure(samples.ours, "total"), pickFigure(samples.theirs, "total"));
}

interface Spawner {
  /** How long one took. */
  readonly one: () => Promise<number>;
  /** Ends what is running and removes it. */
  readonly tidy: () => Promise<unknown>;
  /** The memory of all that are running now, in MiB each, without their agents. */
  supervisorMemory(): number;
  wrong(): string[];
}

/** A whole worker in this process; a beat counts when the worker itself has seen it. */
async function openSpawner(world: BenchWorld, repository: string): Promise<Spawner> {
  const database = await world.database();
  const { open, home } = await openStack(world, database, { slots: 100 });
  const beats = new Map<string, () => void>();
  const early = new Set<string>();
  const waitForHeartbeat: typeof open.fleet.agents.waitForHeartbeat = async (ref, withinMs, signal) => {
    const beat = await open.fleet.agents.waitForHeartbeat(ref, withinMs, signal);
    early.add(ref.taskId);
    beats.get(ref.taskId)?.();
    return beat;
  };
  const fleet = { ...open.fleet, agents: { ...open.fleet.agents, waitForHeartbeat } };
  await open.store.asSystem((tx) => upsertOperator(tx, OPERATOR));
  const worker = await startWorker({ ...open, fleet }, { tickMs: 5_000, versions: {} });
  const tasks: Task[] = [];
  const wrong = new Set<string>();
  const tidy = async () => {
    await runConcurrently(4, tasks.splice(0), async ({ id }) => {
      const { status, attempt } = await waitUntilRunning(() => open.store.asSystem((tx) => getTask(tx, id)));
      if (status !== "running") wrong.add(`a spawned task is ${status}, not running`);
      await database.query(MARK_CANCELLED, [id]);
      await fleet.agents.stop({ taskId: id, attempt }, { graceMs: 200 });
      await fleet.agents.cleanUp({ taskId: id, attempt });
    });
  };
  world.defer(async () => {
    await tidy();
    await worker.drain();
    await run("tmux", ["-S", join(home, "tmux", "fleet.sock"), "kill-server"]).catch(() => undefined);
  });
  return {
    async one() {
      const request = SpawnRequest.parse({ repository, description: "Wait.", agentType: "stub", script: "hang" });
      const from = performance.now();
      const { task } = await requestSpawn(fleet, OPERATOR, request);
      tasks.push(task);
      if (!early.has(task.id)) await new Promise<void>((resolve) => beats.set(task.id, resolve));
      return performance.now() - from;
    },
    tidy,
    supervisorMemory: () => measureSupervisorMemory(home) / tasks.length,
    wrong: () => [...wrong],
  };
}

/** Makes the row appear to have ended long ago, and to have been observed since. */
const MARK_CANCELLED = `update fleet_tasks set status = 'cancelled', completed_at = now(), waiting_for = null, workspace_path = null
  where id = $1`;

async function waitUntilRunning(read: () => Promise<Task>): Promise<Task> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const task = await read();
    if (task.status !== "spawning" || performance.now() > deadline) return task;
    await pause(10);
  }
}

interface ManualSpawner {
  readonly one: () => Promise<number>;
  readonly tidy: () => Promise<unknown>;
}

/** What a user would type, as fast as a program can type it; a beat is a file that the program writes first. */
async function openManualSpawner(world: BenchWorld, repository: string): Promise<ManualSpawner> {
  const dir = await world.folder("hand");
  const tmux: Tmux = await openTmuxServer(world);
  await tmux("new-session", "-d", "-s", "first", "exec sleep 3600");
  const mirror = join(dir, "mirror.git");
  await run("git", ["clone", "--quiet", "--bare", repository, mirror]);
  let made: string[] = [];
  return {
    async one() {
      const name = `hand-${randomUUID().slice(-8)}`;
      const path = join(dir, name);
      const from = performance.now();
      await run("git", ["-C", mirror, "worktree", "add", "--quiet", "-b", name, path, "main"]);
      await tmux("new-session", "-d", "-s", name, "-c", path, `date -u +ts=%FT%TZ > ../${name}.hb; exec sleep 3600`);
      while (!existsSync(join(dir, `${name}.hb`))) await pause(1);
      made.push(name);
      return performance.now() - from;
    },
    async tidy() {
      for (const name of made) {
        await tmux("kill-session", "-t", `=${name}`);
        await run("git", ["-C", mirror, "worktree", "remove", "--force", join(dir, name)]);
        await run("git", ["-C", mirror, "branch", "-qD", name]);
      }
      made = [];
    },
  };
}

async function aRepository(world: BenchWorld): Promise<string> {
  const path = join(await world.folder("repository"), "shop");
  const files = Array.from({ length: FILES }, (_, at) => [
    `src/part-${at % 10}/file-${at}.ts`,
    `export const n = ${at};\n`.repeat(40),
  ]);
  return newCheckout(path, Object.fromEntries(files));
}

/** The supervisor's shells of this home: those whose command line names it, except the agent's. */
function measureSupervisorMemory(home: string): number {
  let kib = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const command = readText(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
    if (!command.includes(`supervisor.sh ${home}`) || command.trimEnd().endsWith(" agent")) continue;
    kib += readPss(pid);
  }
  return kib / 1_024;
}

async function measureShellMemory(): Promise<number> {
  const child = execFile("/bin/sh", ["-c", "read x; :"]);
  await pause(50);
  const kib = readPss(String(child.pid));
  child.stdin?.end("x\n");
  return kib / 1_024;
}

function readPss(pid: string): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readText(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
