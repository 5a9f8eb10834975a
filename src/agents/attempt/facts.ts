/** Observes all agents of this host with one call to the runtime, one pass over files and processes, and one git call per changed mirror. */
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, listProcesses, readEnvironment, type ProcessInfo } from "../../command/process-tree.ts";
import type { AgentFacts } from "../../domain/monitor/facts.ts";
import { git } from "../../git/git.ts";
import { mirrorOf } from "../../git/mirror.ts";
import { refsFingerprint } from "../../git/refs-fingerprint.ts";
import { attemptRoot } from "../paths.ts";
import {
  listOpenAttempts,
  readAttempt,
  readAttemptSpecSync,
  type AttemptReport,
  type AttemptSpec,
} from "./attempt-dir.ts";
import type { Pane, Runtime } from "../runtime/runtime.ts";
import { sessionName } from "./stop.ts";
import { messageOf } from "../../domain/errors.ts";

export interface Orphan {
  readonly kind: "session" | "process";
  readonly name: string;
  readonly pid: number | null;
  readonly taskId: string | null;
}

export interface Observation {
  readonly facts: readonly AgentFacts[];
  /** Sessions and processes that belong to no open attempt. They are reported, never killed. */
  readonly orphans: readonly Orphan[];
  /** What could not be observed this time, as sentences. */
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

interface HostState {
  readonly at: Date;
  /** Undefined when the runtime did not answer, which proves nothing about any agent. */
  readonly panes: ReadonlyMap<string, Pane> | undefined;
  readonly processes: ProcessTable;
  readonly heads: ReadonlyMap<string, string>;
}

interface ProcessTable {
  readonly all: readonly ProcessInfo[];
  readonly byPid: ReadonlyMap<number, ProcessInfo>;
  /** The CPU time of all processes in a session, by the session leader's pid. */
  readonly cpuMs: ReadonlyMap<number, number>;
}

interface CachedHeads {
  readonly fingerprint: string;
  readonly lines: readonly string[];
}

interface HeadsRequest {
  readonly home: string;
  readonly attempts: readonly ObservedAttempt[];
  readonly cache: Map<string, CachedHeads>;
  readonly onError: (error: unknown) => void;
}

interface ObservedAttempt {
  readonly dir: string;
  readonly spec: AttemptSpec;
}

/** Caches what never changes (an attempt's spec, how far a commit is ahead), so that a tick without changes costs almost nothing. */
export function openObserver({ home, runtime, clock }: ObserverOptions): Observer {
  const specs = new Map<string, AttemptSpec>();
  const aheadCounts = new Map<string, number>();
  const knownHeads = new Map<string, CachedHeads>();

  function readOpenAttempts(): ObservedAttempt[] {
    const attempts: ObservedAttempt[] = [];
    for (const { dir } of listOpenAttempts(home)) {
      const spec = specs.get(dir) ?? readAttemptSpecSync(dir);
      if (spec) attempts.push({ dir, spec });
    }
    specs.clear();
    for (const { dir, spec } of attempts) specs.set(dir, spec);
    return attempts;
  }

  async function countAhead(spec: AttemptSpec, head: string | null): Promise<number> {
    if (head === null || head === spec.baseSha) return 0;
    const key = `${spec.baseSha}..${head}`;
    const known = aheadCounts.get(key);
    if (known !== undefined) return known;
    const gitDir = mirrorOf(home, spec.repositoryUrl).path;
    // A clone's commits are not in the mirror before they are published, so all that is known is that there is at least one.
    const counted = await git(["rev-list", "--count", key, "--"], { gitDir }).then(Number, () => 1);
    if (aheadCounts.size > 10_000) aheadCounts.clear();
    aheadCounts.set(key, counted);
    return counted;
  }

  async function observe(): Promise<Observation> {
    const problems: string[] = [];
    const attempts = readOpenAttempts();
    const reportProblem = (error: unknown) => void problems.push(messageOf(error));
    // Reports are read before branches: otherwise an agent that commits and ends in between would seem to have ended without a commit.
    const reports = new Map(attempts.map(({ dir }) => [dir, readAttempt(dir)]));
    const [panes, heads] = await Promise.all([
      runtime.listActive().catch((error: unknown) => reportProblem(error)),
      readHeads({ home, attempts, cache: knownHeads, onError: reportProblem }),
    ]);
    const bySession = panes ? new Map(panes.map((pane) => [pane.session, pane])) : undefined;
    const host: HostState = { at: clock(), panes: bySession, processes: toProcessTable(listProcesses()), heads };
    const facts: AgentFacts[] = [];
    for (const open of attempts) {
      // Without its branch, an ended agent would seem to have done nothing, so it gets no facts this time.
      if (open.spec.kind === "worktree" && !heads.has(open.spec.repositoryUrl)) continue;
      const headSha = readHead(open.spec, host);
      const report = reports.get(open.dir) ?? readAttempt(open.dir);
      facts.push({ ...toFacts(open.spec, report, host), headSha, commitsAhead: await countAhead(open.spec, headSha) });
    }
    return { facts, orphans: findOrphans(home, attempts, host), problems };
  }

  return { observe };
}

function toFacts(
  spec: AttemptSpec,
  report: AttemptReport,
  host: HostState,
): Omit<AgentFacts, "headSha" | "commitsAhead"> {
  const { taskId, attempt, dispatchId } = spec;
  return {
    taskId,
    attempt,
    dispatchId,
    ...heartbeatFields(report),
    pane: paneState(spec, host),
    process: processState(report, host),
    exit: report.exit ?? null,
    outBytes: report.outBytes,
    cpuMs: Math.max(Number(report.heartbeat?.extra["cpu_ms"]) || 0, sumCpuMs(report, host)),
    lastOutputAt: report.lastOutputAt ?? null,
    ...(report.usage ? { usage: report.usage } : {}),
    observedAt: host.at,
  };
}

function heartbeatFields({
  heartbeat,
  process: agent,
}: AttemptReport): Pick<AgentFacts, "pid" | "heartbeatAt" | "heartbeatStatus"> {
  const pid = agent?.pid ?? null;
  if (!heartbeat) return { pid, heartbeatAt: null, heartbeatStatus: null };
  return { pid: pid ?? heartbeat.pid, heartbeatAt: heartbeat.ts, heartbeatStatus: heartbeat.status };
}

function paneState(spec: AttemptSpec, { panes }: HostState): AgentFacts["pane"] {
  if (!panes) return "unknown";
  const pane = panes.get(sessionName(spec.taskId, spec.attempt));
  if (!pane) return "missing";
  return pane.isDead ? "dead" : "alive";
}

function toProcessTable(all: readonly ProcessInfo[]): ProcessTable {
  const cpuMs = new Map<number, number>();
  for (const info of all) {
    cpuMs.set(info.session, (cpuMs.get(info.session) ?? 0) + info.cpuMs + info.endedChildrenCpuMs);
  }
  return { all, byPid: new Map(all.map((info) => [info.pid, info])), cpuMs };
}

/** Without a recorded process (the supervisor has not started yet, or died too early), the agent is not known to be dead. */
function processState({ process: agent, exit }: AttemptReport, { processes }: HostState): AgentFacts["process"] {
  if (!agent) return exit ? "dead" : "unknown";
  const seen = processes.byPid.get(agent.pid);
  if (seen && seen.state !== "Z" && seen.startTime === agent.startTime) return "alive";
  // It may have started since the table was read, or be dead: only a separate check can tell.
  return isAlive(agent.pid, agent.startTime) ? "alive" : "dead";
}

/** Sums the CPU time of the agent's whole session, because a compiler that it runs for minutes counts as work. */
function sumCpuMs({ process: agent }: AttemptReport, { processes }: HostState): number {
  if (!agent) return 0;
  const own = processes.byPid.get(agent.pid);
  const ownMs = own && own.session !== agent.pid ? own.cpuMs + own.endedChildrenCpuMs : 0;
  return (processes.cpuMs.get(agent.pid) ?? 0) + ownMs;
}

/** Returns all branches of the mirrors that open attempts use, and the readable mirrors themselves: one git call per mirror, none if no branch moved. */
async function readHeads({ home, attempts, cache, onError }: HeadsRequest): Promise<ReadonlyMap<string, string>> {
  const heads = new Map<string, string>();
  const urls = new Set(attempts.filter(({ spec }) => spec.kind === "worktree").map(({ spec }) => spec.repositoryUrl));
  for (const url of urls) {
    const gitDir = mirrorOf(home, url).path;
    const fingerprint = refsFingerprint(gitDir);
    const cached = cache.get(url);
    try {
      const lines = cached && fingerprint === cached.fingerprint ? cached.lines : await listHeads(gitDir);
      if (fingerprint !== undefined) cache.set(url, { fingerprint, lines });
      heads.set(url, gitDir);
      for (const line of lines) {
        const [sha, ref] = line.split(" ");
        if (sha && ref) heads.set(`${url} ${ref}`, sha);
      }
    } catch (error) {
      onError(error);
    }
  }
  return heads;
}

async function listHeads(gitDir: string): Promise<readonly string[]> {
  return (await git(["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads"], { gitDir })).split("\n");
}

function readHead(spec: AttemptSpec, host: HostState): string | null {
  const ref = `refs/heads/${spec.branch}`;
  if (spec.kind === "worktree") return host.heads.get(`${spec.repositoryUrl} ${ref}`) ?? null;
  try {
    // An agent's own repository is not trusted: it is only read as text, and only a sha is accepted.
    const text = readRegularFile(join(spec.cwd, ".git", ref)).trim();
    return /^[0-9a-f]{40,64}$/.test(text) ? text : null;
  } catch {
    return null;
  }
}

/** The agent may have replaced the file with a link or a pipe: links are refused, and a pipe does not block. */
function readRegularFile(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return readFileSync(file, "latin1");
  } finally {
    closeSync(file);
  }
}

/** Finds orphans of this home only, because another fleet on the same machine handles its own. */
function findOrphans(home: string, attempts: readonly ObservedAttempt[], host: HostState): Orphan[] {
  const sessions = new Set(attempts.map(({ spec }) => sessionName(spec.taskId, spec.attempt)));
  const tasks = new Set(attempts.map(({ spec }) => spec.taskId));
  const orphans: Orphan[] = [];
  for (const pane of host.panes?.values() ?? []) {
    if (sessions.has(pane.session)) continue;
    orphans.push({ kind: "session", name: pane.session, pid: pane.pid, taskId: null });
  }
  const ours = `FLEET_RUN=${attemptRoot(home)}/`;
  for (const info of host.processes.all) {
    // Only session leaders are checked, because reading every environment would double the cost of a tick.
    if (info.session !== info.pid || info.state === "Z") continue;
    const env = readEnvironment(info.pid);
    const taskId = env.find((entry) => entry.startsWith("FLEET_TASK="))?.slice("FLEET_TASK=".length);
    if (taskId === undefined || tasks.has(taskId) || !env.some((entry) => entry.startsWith(ours))) continue;
    orphans.push({ kind: "process", name: `process ${info.pid}`, pid: info.pid, taskId });
  }
  return orphans;
}
