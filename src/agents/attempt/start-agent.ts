/** Runs one attempt: writes its folder, starts the agent once, waits for its heartbeat, and reads what it left. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { SpawnError } from "../../domain/errors.ts";
import { isAgentType } from "../../domain/task/agent-types.ts";
import type { AgentType } from "../../domain/task/task.ts";
import { mirrorOf } from "../../git/mirror.ts";
import {
  fetchFromClone,
  branchHead,
  diffExcerpt,
  diffStat,
  publishBranch,
  type PublishResult,
} from "../workspace/branches.ts";
import { attemptDir, userRoot } from "../paths.ts";
import { PORTS_PER_WORKSPACE } from "../workspace/ports.ts";
import {
  readExit,
  readAttempt,
  readAttemptSpec,
  readAttemptSpecSync,
  writeAttemptDir,
  type AttemptSpec,
} from "./attempt-dir.ts";
import { readLogTail } from "./attempt-log.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { findUnsaved } from "../workspace/snapshot.ts";
import { sessionName } from "./stop.ts";
import { NO_RESULT, type AgentResult } from "../types/agent-cli.ts";
import { agentArgv, agentCli } from "../types/index.ts";
import { userEnv } from "../users.ts";
import type { AgentsContext } from "../workspace/workspace.ts";
import { usagePathFile, usageFile } from "./usage.ts";
import { readWorkspaceRecord, type WorkspaceRecord } from "../workspace/record.ts";

/** One attempt of one task. */
export interface AttemptRef {
  readonly taskId: string;
  readonly attempt: number;
}

export interface AttemptRequest extends AttemptRef {
  readonly dispatchId: string;
  readonly epoch: number;
  readonly hostId: string;
  readonly bootId: string;
  /** Which worker asks: shown so that an operator can see where a process comes from. */
  readonly startedBy: string;
  readonly agentType: AgentType;
  readonly model?: string | null;
  /** The command line, for agent type `command`. */
  readonly command?: readonly string[] | undefined;
  /** The script to play, for agent type `stub`. */
  readonly script?: string | undefined;
  readonly prompt: string;
  /** The secrets that this agent type needs. They are passed in a file that is deleted within seconds. */
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface StartResult {
  readonly session: string;
  /** True when this dispatch was already running, because a crash came between its start and its record. */
  readonly adopted: boolean;
}

export interface FirstHeartbeat {
  readonly pid: number;
  readonly at: Date;
  /** The agent had already ended when it was first observed. */
  readonly ended: boolean;
}

/** What a failed attempt left: untrusted text, truncated but not redacted. */
export interface CollectedFailure {
  readonly diff: string;
  readonly filesChanged: readonly string[];
  readonly outputTail: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly outOfMemory: boolean;
}

const SUPERVISOR = fileURLToPath(new URL("supervisor.sh", import.meta.url));
const POLL_MS = 5;
const TAIL_BYTES = 8_000;
const MAX_FILES = 200;
/** A shell's exit codes for a program that does not exist or cannot be executed. */
const CANNOT_RUN = new Set([126, 127]);

export async function writeAttempt(
  home: string,
  settings: { readonly baseEnv: Readonly<Record<string, string>>; readonly heartbeatIntervalMs: number },
  request: AttemptRequest,
): Promise<void> {
  const workspace = await readWorkspaceRecord(home, request.taskId);
  if (!workspace) throw new SpawnError("PROCESS_FAILED", "prompt", "There is no workspace for this task yet.");
  const { taskId, attempt, dispatchId, epoch, hostId, bootId, startedBy, agentType, prompt } = request;
  const argv = [...agentArgv(agentType, request)];
  const { repositoryUrl, branch, kind, startSha, baseSha, unixUser } = workspace;
  const spec: AttemptSpec = {
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
    : usageFile(attemptDir(home, taskId, attempt));
  const agentEnv = { ...userEnv(home, unixUser), ...workspaceEnv(workspace, request, usage) };
  const env = { ...settings.baseEnv, ...agentEnv, ...request.secrets };
  const dir = await writeAttemptDir(home, { spec, prompt, env, heartbeatIntervalMs: settings.heartbeatIntervalMs });
  if (unixUser) await writeFile(usagePathFile(dir), usage, { mode: 0o600 });
}

/** Starts the agent, or adopts one of this dispatch that is running or has already run. */
export async function startAgent(home: string, runtime: Runtime, ref: AttemptRef): Promise<StartResult> {
  const dir = attemptDir(home, ref.taskId, ref.attempt);
  const session = sessionName(ref.taskId, ref.attempt);
  const spec = await readAttemptSpec(dir);
  if (!spec) throw new SpawnError("PROCESS_FAILED", "process", "The attempt was not written, or was undone.");

  const report = readAttempt(dir);
  if (report.process || report.exit) return { session, adopted: true };
  if (report.fenced && !(await runtime.listActive()).some((pane) => pane.session === session && !pane.isDead)) {
    throw new SpawnError("PROCESS_FAILED", "process", "The attempt was closed before it started.");
  }
  const argv = ["/bin/sh", SUPERVISOR, dir];
  const { dispatchId, unixUser } = spec;
  const { adopted } = await runtime.start({ session, dispatchId, argv, cwd: home, user: unixUser?.name });
  return { session, adopted };
}

export async function waitForHeartbeat(dir: string, withinMs: number, signal?: AbortSignal): Promise<FirstHeartbeat> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const beat = await checkForHeartbeat(dir);
    if (beat) return beat;
    if (signal?.aborted) throw new SpawnError("TIMEOUT", "heartbeat", "Waiting for the first heartbeat was aborted.");
    if (performance.now() > deadline) {
      throw new SpawnError("TIMEOUT", "heartbeat", `No heartbeat arrived within ${withinMs} ms.`);
    }
    await pause(POLL_MS);
  }
}

async function checkForHeartbeat(dir: string): Promise<FirstHeartbeat | undefined> {
  const { heartbeat, exit, process: agent } = readAttempt(dir);
  if (exit?.code && CANNOT_RUN.has(exit.code)) {
    const output = readOutputTail(dir).trim() || `exit ${exit.code}`;
    throw new SpawnError("PROCESS_FAILED", "heartbeat", `The agent's program cannot be run: ${output}`);
  }
  const pid = agent?.pid ?? 0;
  if (heartbeat) return { pid, at: heartbeat.ts, ended: exit !== undefined };
  return exit && { pid, at: exit.endedAt, ended: true };
}

export async function publishTaskBranch(
  context: AgentsContext,
  request: { readonly taskId: string; readonly expectedOld?: string | null },
): Promise<PublishResult> {
  const record = await readWorkspaceRecord(context.home, request.taskId);
  if (!record) throw new SpawnError("WORKSPACE_FAILED", "workspace", "There is no workspace to publish from.");
  const { repositoryUrl, branch, kind, path, unixUser } = record;
  return publishBranch(context.mirrors, {
    repositoryUrl,
    branch,
    ...(kind === "clone" ? { clone: { path, user: unixUser } } : {}),
    ...(request.expectedOld === undefined ? {} : { expectedOld: request.expectedOld }),
  });
}

/** Collects as much as possible. What is missing stays empty, because a failure must be recorded in any case. */
export async function collectFailure(context: AgentsContext, dir: string): Promise<CollectedFailure> {
  const spec = await readAttemptSpec(dir);
  const { exit } = readAttempt(dir);
  const work = spec ? await collectChanges(context, spec).catch(() => undefined) : undefined;
  return {
    diff: work?.diff ?? "",
    filesChanged: work?.filesChanged ?? [],
    outputTail: readOutputTail(dir),
    exitCode: exit?.code ?? null,
    signal: exit?.signal ?? null,
    outOfMemory: exit?.oom ?? false,
  };
}

export function readResult(dir: string): AgentResult {
  const type = readAttemptSpecSync(dir)?.agentType ?? "";
  return isAgentType(type) ? agentCli(type).parseResult(readOutputTail(dir), readExit(dir) ?? null) : NO_RESULT;
}

function workspaceEnv(workspace: WorkspaceRecord, request: AttemptRequest, usage: string): Record<string, string> {
  return {
    FLEET_ATTEMPT: String(request.attempt),
    FLEET_DISPATCH: request.dispatchId,
    FLEET_WORKSPACE: workspace.path,
    FLEET_BRANCH: workspace.branch,
    FLEET_BASE_BRANCH: workspace.baseBranch,
    FLEET_PORT_BASE: String(workspace.portBase),
    FLEET_PORT_COUNT: String(PORTS_PER_WORKSPACE),
    FLEET_MODEL: request.model ?? "",
    FLEET_USAGE: usage,
    // Without this, git would wait for a password forever.
    GIT_TERMINAL_PROMPT: "0",
  };
}

async function collectChanges(context: AgentsContext, spec: AttemptSpec) {
  const mirror = mirrorOf(context.home, spec.repositoryUrl);
  if (spec.kind === "clone") await fetchFromClone(mirror, { path: spec.cwd, user: spec.unixUser }, spec.branch);
  const head = await branchHead(mirror, spec.branch);
  if (head === null) return undefined;
  const { files } = await diffStat(mirror, spec.startSha, head);
  const unsaved = await findUnsaved(context.home, mirror, spec.cwd, head).catch(() => ({ changed: [], untracked: [] }));
  const filesChanged = [...new Set([...files, ...unsaved.changed, ...unsaved.untracked])].slice(0, MAX_FILES);
  return { diff: await diffExcerpt(mirror, spec.startSha, head), filesChanged };
}

function readOutputTail(dir: string): string {
  return readLogTail(dir, TAIL_BYTES).toString("utf8").slice(-TAIL_BYTES);
}
