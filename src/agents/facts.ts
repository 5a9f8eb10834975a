/** One look at all agents of this host: one call to the runtime, one pass over files and processes, one git call per mirror. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, listProcesses, readEnvironment, type ProcessInfo } from "../command/process-tree.ts";
import type { AgentFacts } from "../domain/facts.ts";
import { git } from "../git/git.ts";
import { mirrorOf } from "../git/mirror.ts";
import { attemptRoot } from "./places.ts";
import { listOpenRuns, readRun, readRunSpecSync, type RunReport, type RunSpec } from "./run-dir.ts";
import type { Pane, Runtime } from "./runtime.ts";
import { sessionName } from "./stop.ts";

export interface Orphan {
  readonly kind: "session" | "process";
  readonly name: string;
  readonly pid: number | null;
  readonly taskId: string | null;
}

export interface Observation {
  readonly facts: readonly AgentFacts[];
  /** Sessions and processes that belong to no open run: reported, never killed. */
  readonly orphans: readonly Orphan[];
  /** What could not be looked at this time, as sentences. */
  readonly problems: readonly string[];
}

export interface Observer {
  observe(): Promise<Observation>;
}

export interface ObserverOptions {
  readonly home: string;
  readonly runtime: Runtime;
  readonly clock: () => Date;
}

interface Look {
  readonly at: Date;
  /** Undefined: the runtime did not answer, which proves nothing about any agent. */
  readonly panes: ReadonlyMap<string, Pane> | undefined;
  readonly processes: readonly ProcessInfo[];
  readonly heads: ReadonlyMap<string, string>;
}

interface Seen {
  readonly dir: string;
  readonly spec: RunSpec;
}

/** Keeps what never changes (a run's spec, how far a commit is ahead), so that a quiet tick costs almost nothing. */
export function openObserver({ home, runtime, clock }: ObserverOptions): Observer {
  const specs = new Map<string, RunSpec>();
  const ahead = new Map<string, number>();

  function openRuns(): Seen[] {
    const seen: Seen[] = [];
    for (const { dir } of listOpenRuns(home)) {
      const spec = specs.get(dir) ?? readRunSpecSync(dir);
      if (spec) seen.push({ dir, spec });
    }
    specs.clear();
    for (const { dir, spec } of seen) specs.set(dir, spec);
    return seen;
  }

  async function countAhead(spec: RunSpec, head: string | null): Promise<number> {
    if (head === null || head === spec.baseSha) return 0;
    const key = `${spec.baseSha}..${head}`;
    const known = ahead.get(key);
    if (known !== undefined) return known;
    const gitDir = mirrorOf(home, spec.repositoryUrl).path;
    // A clone's commits are not in the mirror before they are published: then one is all that can be said.
    const counted = await git(["rev-list", "--count", key, "--"], { gitDir }).then(Number, () => 1);
    if (ahead.size > 10_000) ahead.clear();
    ahead.set(key, counted);
    return counted;
  }

  async function observe(): Promise<Observation> {
    const problems: string[] = [];
    const runs = openRuns();
    const note = (error: unknown) => void problems.push(error instanceof Error ? error.message : String(error));
    const [panes, heads] = await Promise.all([
      runtime.listActive().catch((error: unknown) => note(error)),
      readHeads(home, runs, note),
    ]);
    const bySession = panes ? new Map(panes.map((pane) => [pane.session, pane])) : undefined;
    const look: Look = { at: clock(), panes: bySession, processes: listProcesses(), heads };
    const facts: AgentFacts[] = [];
    for (const run of runs) {
      const headSha = headOf(run.spec, look);
      facts.push({ ...factsOf(run, look), headSha, commitsAhead: await countAhead(run.spec, headSha) });
    }
    return { facts, orphans: findOrphans(home, runs, look), problems };
  }

  return { observe };
}

function factsOf({ dir, spec }: Seen, look: Look): Omit<AgentFacts, "headSha" | "commitsAhead"> {
  const report = readRun(dir);
  const { taskId, attempt, dispatchId } = spec;
  return {
    taskId,
    attempt,
    dispatchId,
    ...heartbeatOf(report),
    pane: paneState(spec, look),
    process: processState(report),
    exit: report.exit ?? null,
    outBytes: report.outBytes,
    cpuMs: Math.max(Number(report.heartbeat?.extra["cpu_ms"]) || 0, cpuOf(report, look.processes)),
    lastOutputAt: report.lastOutputAt ?? null,
    observedAt: look.at,
  };
}

function heartbeatOf({
  heartbeat,
  process: agent,
}: RunReport): Pick<AgentFacts, "pid" | "heartbeatAt" | "heartbeatStatus"> {
  const pid = agent?.pid ?? null;
  if (!heartbeat) return { pid, heartbeatAt: null, heartbeatStatus: null };
  return { pid: pid ?? heartbeat.pid, heartbeatAt: heartbeat.ts, heartbeatStatus: heartbeat.status };
}

function paneState(spec: RunSpec, { panes }: Look): AgentFacts["pane"] {
  if (!panes) return "unknown";
  const pane = panes.get(sessionName(spec.taskId, spec.attempt));
  if (!pane) return "missing";
  return pane.isDead ? "dead" : "alive";
}

/** A process that was never noted down, because its supervisor died too early or has not begun, is not known to be dead. */
function processState({ process: agent, exit }: RunReport): AgentFacts["process"] {
  if (agent) return isAlive(agent.pid, agent.startTime) ? "alive" : "dead";
  return exit ? "dead" : "unknown";
}

/** Of everything in the agent's session; a compiler that an agent runs for minutes counts as work. */
function cpuOf({ process: agent }: RunReport, processes: readonly ProcessInfo[]): number {
  if (!agent) return 0;
  let total = 0;
  for (const info of processes) {
    if (info.session === agent.pid || info.pid === agent.pid) total += info.cpuMs + info.endedChildrenCpuMs;
  }
  return total;
}

/** All branches of the mirrors that open runs use: one process per mirror, however many agents. */
async function readHeads(
  home: string,
  runs: readonly Seen[],
  note: (error: unknown) => void,
): Promise<Map<string, string>> {
  const heads = new Map<string, string>();
  const urls = new Set(runs.filter(({ spec }) => spec.kind === "worktree").map(({ spec }) => spec.repositoryUrl));
  for (const url of urls) {
    const gitDir = mirrorOf(home, url).path;
    try {
      for (const line of (
        await git(["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads"], { gitDir })
      ).split("\n")) {
        const [sha, ref] = line.split(" ");
        if (sha && ref) heads.set(`${url} ${ref}`, sha);
      }
    } catch (error) {
      note(error);
    }
  }
  return heads;
}

function headOf(spec: RunSpec, look: Look): string | null {
  const ref = `refs/heads/${spec.branch}`;
  if (spec.kind === "worktree") return look.heads.get(`${spec.repositoryUrl} ${ref}`) ?? null;
  try {
    // An agent's own repository is read as text only; a sha is the one thing taken from it.
    const text = readFileSync(join(spec.cwd, ".git", ref), "latin1").trim();
    return /^[0-9a-f]{40,64}$/.test(text) ? text : null;
  } catch {
    return null;
  }
}

/** Of this home only: another fleet on the same machine looks after its own. */
function findOrphans(home: string, runs: readonly Seen[], look: Look): Orphan[] {
  const sessions = new Set(runs.map(({ spec }) => sessionName(spec.taskId, spec.attempt)));
  const tasks = new Set(runs.map(({ spec }) => spec.taskId));
  const orphans: Orphan[] = [];
  for (const pane of look.panes?.values() ?? []) {
    if (sessions.has(pane.session)) continue;
    orphans.push({ kind: "session", name: pane.session, pid: pane.pid, taskId: null });
  }
  const ours = `FLEET_RUN=${attemptRoot(home)}/`;
  for (const info of look.processes) {
    // Who leads a session stands for it: reading every environment at each tick would double its cost.
    if (info.session !== info.pid || info.state === "Z") continue;
    const env = readEnvironment(info.pid);
    const taskId = env.find((entry) => entry.startsWith("FLEET_TASK="))?.slice("FLEET_TASK=".length);
    if (taskId === undefined || tasks.has(taskId) || !env.some((entry) => entry.startsWith(ours))) continue;
    orphans.push({ kind: "process", name: `process ${info.pid}`, pid: info.pid, taskId });
  }
  return orphans;
}
