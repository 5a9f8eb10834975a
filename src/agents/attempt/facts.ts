/** One look at all agents of this host: one call to the runtime, one pass over files and processes, one git call per mirror that moved. */
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, listProcesses, readEnvironment, type ProcessInfo } from "../../command/process-tree.ts";
import type { AgentFacts } from "../../domain/monitor/facts.ts";
import { git } from "../../git/git.ts";
import { mirrorOf } from "../../git/mirror.ts";
import { refsPrint } from "../../git/refs-print.ts";
import { attemptRoot } from "../paths.ts";
import { listOpenRuns, readRun, readRunSpecSync, type RunReport, type RunSpec } from "./attempt-dir.ts";
import type { Pane, Runtime } from "../runtime/runtime.ts";
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
  readonly processes: ProcessTable;
  readonly heads: ReadonlyMap<string, string>;
}

interface ProcessTable {
  readonly all: readonly ProcessInfo[];
  readonly byPid: ReadonlyMap<number, ProcessInfo>;
  /** Of everything in a session, by its leader's pid. */
  readonly cpuMs: ReadonlyMap<number, number>;
}

interface KnownHeads {
  readonly print: string;
  readonly lines: readonly string[];
}

interface HeadsAsked {
  readonly home: string;
  readonly runs: readonly Seen[];
  readonly known: Map<string, KnownHeads>;
  readonly note: (error: unknown) => void;
}

interface Seen {
  readonly dir: string;
  readonly spec: RunSpec;
}

/** Keeps what never changes (a run's spec, how far a commit is ahead), so that a quiet tick costs almost nothing. */
export function openObserver({ home, runtime, clock }: ObserverOptions): Observer {
  const specs = new Map<string, RunSpec>();
  const ahead = new Map<string, number>();
  const knownHeads = new Map<string, KnownHeads>();

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
    // Before the branches: an agent that commits and ends in between must not be seen as ended without a commit.
    const reports = new Map(runs.map(({ dir }) => [dir, readRun(dir)]));
    const [panes, heads] = await Promise.all([
      runtime.listActive().catch((error: unknown) => note(error)),
      readHeads({ home, runs, known: knownHeads, note }),
    ]);
    const bySession = panes ? new Map(panes.map((pane) => [pane.session, pane])) : undefined;
    const look: Look = { at: clock(), panes: bySession, processes: tableOf(listProcesses()), heads };
    const facts: AgentFacts[] = [];
    for (const run of runs) {
      // An agent that ended with its branch unread would look like one that did nothing: nothing is said of it this time.
      if (run.spec.kind === "worktree" && !heads.has(run.spec.repositoryUrl)) continue;
      const headSha = headOf(run.spec, look);
      const report = reports.get(run.dir) ?? readRun(run.dir);
      facts.push({ ...factsOf(run.spec, report, look), headSha, commitsAhead: await countAhead(run.spec, headSha) });
    }
    return { facts, orphans: findOrphans(home, runs, look), problems };
  }

  return { observe };
}

function factsOf(spec: RunSpec, report: RunReport, look: Look): Omit<AgentFacts, "headSha" | "commitsAhead"> {
  const { taskId, attempt, dispatchId } = spec;
  return {
    taskId,
    attempt,
    dispatchId,
    ...heartbeatOf(report),
    pane: paneState(spec, look),
    process: processState(report, look),
    exit: report.exit ?? null,
    outBytes: report.outBytes,
    cpuMs: Math.max(Number(report.heartbeat?.extra["cpu_ms"]) || 0, cpuOf(report, look)),
    lastOutputAt: report.lastOutputAt ?? null,
    ...(report.usage ? { usage: report.usage } : {}),
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

function tableOf(all: readonly ProcessInfo[]): ProcessTable {
  const cpuMs = new Map<number, number>();
  for (const info of all) {
    cpuMs.set(info.session, (cpuMs.get(info.session) ?? 0) + info.cpuMs + info.endedChildrenCpuMs);
  }
  return { all, byPid: new Map(all.map((info) => [info.pid, info])), cpuMs };
}

/** A process that was never noted down, because its supervisor died too early or has not begun, is not known to be dead. */
function processState({ process: agent, exit }: RunReport, { processes }: Look): AgentFacts["process"] {
  if (!agent) return exit ? "dead" : "unknown";
  const seen = processes.byPid.get(agent.pid);
  if (seen && seen.state !== "Z" && seen.startTime === agent.startTime) return "alive";
  // It may have begun since the table was read, or be dead: only a look of its own tells.
  return isAlive(agent.pid, agent.startTime) ? "alive" : "dead";
}

/** Of everything in the agent's session; a compiler that an agent runs for minutes counts as work. */
function cpuOf({ process: agent }: RunReport, { processes }: Look): number {
  if (!agent) return 0;
  const own = processes.byPid.get(agent.pid);
  const ownMs = own && own.session !== agent.pid ? own.cpuMs + own.endedChildrenCpuMs : 0;
  return (processes.cpuMs.get(agent.pid) ?? 0) + ownMs;
}

/** All branches of the mirrors that open runs use, and the mirrors that could be read: one git per mirror however many agents, none where no branch moved. */
async function readHeads({ home, runs, known, note }: HeadsAsked): Promise<ReadonlyMap<string, string>> {
  const heads = new Map<string, string>();
  const urls = new Set(runs.filter(({ spec }) => spec.kind === "worktree").map(({ spec }) => spec.repositoryUrl));
  for (const url of urls) {
    const gitDir = mirrorOf(home, url).path;
    const print = refsPrint(gitDir);
    const before = known.get(url);
    try {
      const lines = before && print === before.print ? before.lines : await listHeads(gitDir);
      if (print !== undefined) known.set(url, { print, lines });
      heads.set(url, gitDir);
      for (const line of lines) {
        const [sha, ref] = line.split(" ");
        if (sha && ref) heads.set(`${url} ${ref}`, sha);
      }
    } catch (error) {
      note(error);
    }
  }
  return heads;
}

async function listHeads(gitDir: string): Promise<readonly string[]> {
  return (await git(["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads"], { gitDir })).split("\n");
}

function headOf(spec: RunSpec, look: Look): string | null {
  const ref = `refs/heads/${spec.branch}`;
  if (spec.kind === "worktree") return look.heads.get(`${spec.repositoryUrl} ${ref}`) ?? null;
  try {
    // An agent's own repository is read as text only; a sha is the one thing taken from it.
    const text = readPlain(join(spec.cwd, ".git", ref)).trim();
    return /^[0-9a-f]{40,64}$/.test(text) ? text : null;
  } catch {
    return null;
  }
}

/** What an agent may have put in its place instead, a link or a pipe that nobody writes to, is not waited for. */
function readPlain(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return readFileSync(file, "latin1");
  } finally {
    closeSync(file);
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
  for (const info of look.processes.all) {
    // Who leads a session stands for it: reading every environment at each tick would double its cost.
    if (info.session !== info.pid || info.state === "Z") continue;
    const env = readEnvironment(info.pid);
    const taskId = env.find((entry) => entry.startsWith("FLEET_TASK="))?.slice("FLEET_TASK=".length);
    if (taskId === undefined || tasks.has(taskId) || !env.some((entry) => entry.startsWith(ours))) continue;
    orphans.push({ kind: "process", name: `process ${info.pid}`, pid: info.pid, taskId });
  }
  return orphans;
}
