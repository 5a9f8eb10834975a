/** One attempt: written down, started once, waited for, and afterwards read for what it left. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SpawnError } from "../../domain/errors.ts";
import type { AgentType } from "../../domain/task/task.ts";
import { mirrorOf } from "../../git/mirror.ts";
import {
  absorbClone,
  branchHead,
  diffExcerpt,
  diffStat,
  publishBranch,
  type Published,
} from "../workspace/branches.ts";
import { runDirOf, userRoot } from "../paths.ts";
import { PORTS_PER_WORKSPACE } from "../workspace/ports.ts";
import { readExit, readRun, readRunSpec, readRunSpecSync, writeRunDir, type RunSpec } from "./attempt-dir.ts";
import { readLogTail } from "./attempt-log.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { findUnsaved } from "../workspace/snapshot.ts";
import { sessionName } from "./stop.ts";
import { NO_RESULT, type AgentResult } from "../types/agent-cli.ts";
import { AGENT_CLIS, agentArgv } from "../types/index.ts";
import { userEnv } from "../users.ts";
import type { Place } from "../workspace/workspace.ts";
import { usageElsewhere, usageFile } from "./usage.ts";
import { readWorkspaceRecord, type WorkspaceRecord } from "../workspace/record.ts";

/** One attempt of one task. */
export interface RunRef {
  readonly taskId: string;
  readonly attempt: number;
}

export interface RunRequest extends RunRef {
  readonly dispatchId: string;
  readonly epoch: number;
  readonly hostId: string;
  readonly bootId: string;
  /** Which worker asks: shown to whoever wonders where a process comes from. */
  readonly startedBy: string;
  readonly agentType: AgentType;
  readonly model?: string | null;
  /** For `command`. */
  readonly command?: readonly string[] | undefined;
  /** For `stub`. */
  readonly script?: string | undefined;
  readonly prompt: string;
  /** Only what this agent type needs; delivered by a file that is gone within seconds. */
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface Started {
  readonly session: string;
  /** True when this dispatch was running already: a crash came between its start and its record. */
  readonly adopted: boolean;
}

export interface FirstBeat {
  readonly pid: number;
  readonly at: Date;
  /** The agent had ended already when it was first seen. */
  readonly ended: boolean;
}

/** What a failed attempt left; untrusted text, capped but not redacted. */
export interface CollectedFailure {
  readonly diff: string;
  readonly filesChanged: readonly string[];
  readonly outputTail: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly outOfMemory: boolean;
}

const SUPERVISOR = fileURLToPath(new URL("supervisor.sh", import.meta.url));
const LOOK_EVERY_MS = 5;
const TAIL_BYTES = 8_000;
const MOST_FILES = 200;
/** A shell's way to say that the program is not there or may not be run. */
const CANNOT_RUN = new Set([126, 127]);

export async function writeRun(
  home: string,
  settings: { readonly baseEnv: Readonly<Record<string, string>>; readonly heartbeatIntervalMs: number },
  ask: RunRequest,
): Promise<void> {
  const workspace = await readWorkspaceRecord(home, ask.taskId);
  if (!workspace) throw new SpawnError("PROCESS_FAILED", "prompt", "There is no workspace for this task yet.");
  const { taskId, attempt, dispatchId, epoch, hostId, bootId, startedBy, agentType, prompt } = ask;
  const argv = [...agentArgv(agentType, ask)];
  const { repositoryUrl, branch, kind, startSha, baseSha, unixUser } = workspace;
  const spec: RunSpec = {
    taskId,
    attempt,
    dispatchId,
    epoch,
    hostId,
    bootId,
    startedBy,
    agentType,
    argv,
    cwd: workspace.path,
    repositoryUrl,
    branch,
    kind,
    startSha,
    baseSha,
    ...(unixUser ? { unixUser } : {}),
  };
  const usage = unixUser
    ? join(userRoot(home, unixUser.name), `usage-${taskId}-${attempt}.jsonl`)
    : usageFile(runDirOf(home, taskId, attempt));
  const own = { ...userEnv(home, unixUser), ...workspaceEnv(workspace, ask, usage) };
  const env = { ...settings.baseEnv, ...own, ...ask.secrets };
  const dir = await writeRunDir(home, { spec, prompt, env, heartbeatIntervalMs: settings.heartbeatIntervalMs });
  if (unixUser) await writeFile(usageElsewhere(dir), usage, { mode: 0o600 });
}

/** Looks first: an agent of this dispatch that runs, or has run, is adopted. */
export async function startAttempt(home: string, runtime: Runtime, run: RunRef): Promise<Started> {
  const dir = runDirOf(home, run.taskId, run.attempt);
  const session = sessionName(run.taskId, run.attempt);
  const spec = await readRunSpec(dir);
  if (!spec) throw new SpawnError("PROCESS_FAILED", "process", "The run was not written, or was undone.");

  const report = readRun(dir);
  if (report.process || report.exit) return { session, adopted: true };
  if (report.fenced && !(await runtime.listActive()).some((pane) => pane.session === session && !pane.isDead)) {
    throw new SpawnError("PROCESS_FAILED", "process", "The attempt was closed before it began.");
  }
  const argv = ["/bin/sh", SUPERVISOR, dir];
  const { dispatchId, unixUser } = spec;
  const { adopted } = await runtime.start({ session, dispatchId, argv, cwd: home, user: unixUser?.name });
  return { session, adopted };
}

export async function waitForFirstBeat(dir: string, withinMs: number, signal?: AbortSignal): Promise<FirstBeat> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const beat = await lookForBeat(dir);
    if (beat) return beat;
    if (signal?.aborted) throw new SpawnError("TIMEOUT", "heartbeat", "Waiting for the first heartbeat was given up.");
    if (performance.now() > deadline) {
      throw new SpawnError("TIMEOUT", "heartbeat", `No heartbeat came within ${withinMs} ms.`);
    }
    await pause(LOOK_EVERY_MS);
  }
}

async function lookForBeat(dir: string): Promise<FirstBeat | undefined> {
  const { heartbeat, exit, process: agent } = readRun(dir);
  if (exit?.code && CANNOT_RUN.has(exit.code)) {
    const said = readTail(dir).trim() || `exit ${exit.code}`;
    throw new SpawnError("PROCESS_FAILED", "heartbeat", `The agent's program cannot be run: ${said}`);
  }
  const pid = agent?.pid ?? 0;
  if (heartbeat) return { pid, at: heartbeat.ts, ended: exit !== undefined };
  return exit && { pid, at: exit.endedAt, ended: true };
}

export async function publishTask(
  place: Place,
  ask: { readonly taskId: string; readonly expectedOld?: string | null },
): Promise<Published> {
  const record = await readWorkspaceRecord(place.home, ask.taskId);
  if (!record) throw new SpawnError("WORKSPACE_FAILED", "workspace", "There is no workspace to publish from.");
  const { repositoryUrl, branch, kind, path, unixUser } = record;
  return publishBranch(place.mirrors, {
    repositoryUrl,
    branch,
    ...(kind === "clone" ? { clone: { path, user: unixUser } } : {}),
    ...(ask.expectedOld === undefined ? {} : { expectedOld: ask.expectedOld }),
  });
}

/** As much as can be had: what is missing is left empty, because a failure must be recorded in any case. */
export async function collectFailure(place: Place, dir: string): Promise<CollectedFailure> {
  const spec = await readRunSpec(dir);
  const { exit } = readRun(dir);
  const work = spec ? await collectWork(place, spec).catch(() => undefined) : undefined;
  return {
    diff: work?.diff ?? "",
    filesChanged: work?.filesChanged ?? [],
    outputTail: readTail(dir),
    exitCode: exit?.code ?? null,
    signal: exit?.signal ?? null,
    outOfMemory: exit?.oom ?? false,
  };
}

export function readResult(dir: string): AgentResult {
  const spec = readRunSpecSync(dir);
  const cli = Object.values(AGENT_CLIS).find(({ type }) => type === spec?.agentType);
  return cli ? cli.parseResult(readTail(dir), readExit(dir) ?? null) : NO_RESULT;
}

function workspaceEnv(workspace: WorkspaceRecord, ask: RunRequest, usage: string): Record<string, string> {
  return {
    FLEET_ATTEMPT: String(ask.attempt),
    FLEET_DISPATCH: ask.dispatchId,
    FLEET_WORKSPACE: workspace.path,
    FLEET_BRANCH: workspace.branch,
    FLEET_BASE_BRANCH: workspace.baseBranch,
    FLEET_PORT_BASE: String(workspace.portBase),
    FLEET_PORT_COUNT: String(PORTS_PER_WORKSPACE),
    FLEET_MODEL: ask.model ?? "",
    FLEET_USAGE: usage,
    // An agent that waits for a password waits for ever.
    GIT_TERMINAL_PROMPT: "0",
  };
}

async function collectWork(place: Place, spec: RunSpec) {
  const mirror = mirrorOf(place.home, spec.repositoryUrl);
  if (spec.kind === "clone") await absorbClone(mirror, { path: spec.cwd, user: spec.unixUser }, spec.branch);
  const head = await branchHead(mirror, spec.branch);
  if (head === null) return undefined;
  const { files } = await diffStat(mirror, spec.startSha, head);
  const unsaved = await findUnsaved(place.home, mirror, spec.cwd, head).catch(() => ({ changed: [], untracked: [] }));
  const filesChanged = [...new Set([...files, ...unsaved.changed, ...unsaved.untracked])].slice(0, MOST_FILES);
  return { diff: await diffExcerpt(mirror, spec.startSha, head), filesChanged };
}

function readTail(dir: string): string {
  return readLogTail(dir, TAIL_BYTES).toString("utf8").slice(-TAIL_BYTES);
}
