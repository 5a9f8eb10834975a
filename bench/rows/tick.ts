/** Row 6: one tick of a host that holds 200 agents: how long it takes, how many programs it starts, how many statements it sends. */
import childProcess from "node:child_process";
import { randomUUID } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { Client } from "pg";
import { attemptDir } from "../../src/agents/paths.ts";
import { sessionName } from "../../src/agents/attempt/stop.ts";
import { tickHost } from "../../src/conductor/monitor/host.ts";
import type { Task } from "../../src/domain/task/task.ts";
import { mirrorOf } from "../../src/git/mirror.ts";
import { newCheckout, runGit } from "../../tests/support/repositories.ts";
import { toScoreLine, type ScoreLine, type ScoreLineOptions } from "../line.ts";
import { pickFigure, interleave } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { HOST, seedTasks } from "../seed.ts";
import { openStack } from "../stack.ts";
import { openTmuxServer, startSessions, type Tmux } from "../tmux.ts";
import type { BenchWorld } from "../world.ts";

export const tickRow: BenchRow = {
  rows: ["6"],
  what: "host tick",
  async measure(world) {
    const few = await measureTick(world, 20);
    const many = await measureTick(world, 200);
    const grown: Pick<ScoreLineOptions, "row" | "reference" | "unit" | "compared" | "target" | "reason"> = {
      row: "6",
      reference: "20 agents",
      unit: "",
      compared: "difference",
      target: { atMost: 0 },
      reason: "it grows with the number of agents, and must not",
    };
    return [
      many.line,
      toScoreLine({ ...grown, what: "programs a tick of 200 agents starts" }, many.programs, few.programs),
      toScoreLine({ ...grown, what: "statements a tick of 200 agents sends" }, many.statements, few.statements),
    ];
  },
};

interface TickResult {
  readonly line: ScoreLine;
  readonly programs: number[];
  readonly statements: number[];
}

async function measureTick(world: BenchWorld, agents: number): Promise<TickResult> {
  const database = await world.database();
  const { open, home } = await openStack(world, database, { slots: agents });
  const repository = newCheckout(join(await world.folder("repository"), "shop"));
  const tasks = await seedTasks(database, open.store, {
    count: agents,
    status: "running",
    repository,
    withFacts: true,
  });
  runGit(home, "clone", "--quiet", "--bare", repository, mirrorOf(home, repository).path);
  const tmux = await openTmuxServer(world, join(home, "tmux", "fleet.sock"));
  const beats = await prepareRuns(home, tasks, tmux);
  const wrong = new Set<string>();

  const tick = async () => {
    // Every agent has written output and a heartbeat since the last tick, as busy agents do.
    for (const { log, beat, text } of beats) {
      appendFileSync(log, "a line of output\n");
      writeFileSync(beat, text());
    }
    const counts = countCalls();
    const from = performance.now();
    const ticked = await tickHost(open.fleet, { tickMs: 60_000, versions: {}, load: 0, diskFreeMb: 10_000 });
    const ms = performance.now() - from;
    const { programs, statements } = counts.stop();
    if (!ticked.reporting || ticked.agents !== agents) wrong.add(`it saw ${JSON.stringify(ticked)}`);
    return { ms, programs, statements };
  };
  const byHand = async () => {
    const from = performance.now();
    await tmux("list-panes", "-a");
    for (const { beat } of beats) readFileSync(beat, "utf8");
    return { ms: performance.now() - from };
  };
  await tick();
  const samples = await interleave(world.rounds, tick, byHand);
  await tmux("kill-server");
  const [row] = await database.query("select count(*)::int as count from fleet_tasks where status <> 'running'");
  if (row?.["count"] !== 0) wrong.add(`${String(row?.["count"])} healthy agents were acted on`);
  const options: ScoreLineOptions = {
    row: "6",
    what: `tick of ${agents} agents`,
    reference: "tmux list-panes -a + reading as many files",
    unit: "ms",
    target: { atMost: 2 },
    wrong: [...wrong],
    reason: "writing 200 facts and reading them back for the monitor's rules is work that the reference does not do",
  };
  return {
    line: toScoreLine(options, pickFigure(samples.ours, "ms"), pickFigure(samples.theirs, "ms")),
    programs: pickFigure(samples.ours, "programs"),
    statements: pickFigure(samples.ours, "statements"),
  };
}

/** Attempts as their supervisors leave them, without 200 supervisors, because two cores would then measure those. */
async function prepareRuns(home: string, tasks: readonly Task[], tmux: Tmux) {
  mkdirSync(join(home, "tmux"), { recursive: true });
  await startSessions(
    tmux,
    tasks.map(({ id, attempt }) => sessionName(id, attempt)),
  );
  const panes = (await tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid}")).trim().split("\n");
  const pids = new Map(panes.map((line) => [line.split(" ")[0], Number(line.split(" ")[1])]));
  return tasks.map((task) => {
    const dir = attemptDir(home, task.id, task.attempt);
    const pid = pids.get(sessionName(task.id, task.attempt)) ?? 0;
    const start = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[19];
    mkdirSync(join(dir, "started"), { recursive: true });
    mkdirSync(join(home, "attempts", ".open"), { recursive: true });
    writeFileSync(join(home, "attempts", ".open", `${task.id}_${task.attempt}`), "");
    writeFileSync(join(dir, "run.json"), JSON.stringify(makeSpec(task, home)));
    writeFileSync(join(dir, "process"), `pid=${pid} start=${start} supervisor=${pid}\n`);
    const log = join(dir, "output.log");
    writeFileSync(log, "begun\n");
    writeFileSync(join(dir, "log.base"), "0");
    const text = () => {
      const now = new Date().toISOString();
      return `ts=${now} pid=${pid} status=busy start=${start} cpu_ms=10 out_bytes=6 last_output=${now}\n`;
    };
    return { log, beat: join(dir, "agent.hb"), text };
  });
}

function makeSpec(task: Task, home: string): Record<string, unknown> {
  return {
    taskId: task.id,
    attempt: task.attempt,
    dispatchId: task.dispatchId ?? randomUUID(),
    epoch: task.epoch,
    hostId: HOST,
    bootId: "bench",
    startedBy: "bench",
    agentType: "stub",
    argv: ["true"],
    cwd: home,
    repositoryUrl: task.repository,
    branch: task.branch,
    kind: "worktree",
    startSha: "0".repeat(40),
    baseSha: "0".repeat(40),
  };
}

/** Counts here, because everything that starts a program or sends a statement in this process calls these two. */
function countCalls(): { stop(): { programs: number; statements: number } } {
  const counts = { programs: 0, statements: 0 };
  const { spawn } = childProcess;
  // oxlint-disable-next-line typescript/unbound-method -- called with its own `this` below
  const { query } = Client.prototype;
  Object.assign(childProcess, {
    spawn: (...args: Parameters<typeof spawn>) => {
      counts.programs += 1;
      return spawn(...args);
    },
  });
  syncBuiltinESMExports();
  Object.assign(Client.prototype, {
    query(this: Client, ...args: unknown[]) {
      counts.statements += 1;
      return Reflect.apply(query, this, args) as unknown;
    },
  });
  return {
    stop() {
      Object.assign(childProcess, { spawn });
      syncBuiltinESMExports();
      Object.assign(Client.prototype, { query });
      return counts;
    },
  };
}
