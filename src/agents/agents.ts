/** The interface through which use cases start, observe, stop and clean up agents on this machine. */
import { mkdir, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { openMirrors } from "../git/mirror.ts";
import {
  collectFailure,
  publishTaskBranch,
  readResult,
  startAgent,
  waitForHeartbeat,
  writeAttempt,
  type CollectedFailure,
  type FirstHeartbeat,
  type AttemptRef,
  type AttemptRequest,
  type StartResult,
} from "./attempt/start-agent.ts";
import type { PublishResult } from "./workspace/branches.ts";
import { removeWorkspace, type CleanupResult } from "./cleanup/cleanup.ts";
import { openGcDisk, type GcDisk } from "./cleanup/gc-disk.ts";
import { openObserver, type Observation, type Orphan } from "./attempt/facts.ts";
import { installDependencies, type InstallResult } from "./workspace/install.ts";
import { attemptDir } from "./paths.ts";
import { closeOtherAttemptDirs, closeAttemptDir, shredAttemptDir, touchProbe } from "./attempt/attempt-dir.ts";
import { readAttemptLog, type LogChunk, type LogRange } from "./attempt/attempt-log.ts";
import { openTmuxServers } from "./runtime/tmux-servers.ts";
import { freezeAttempt, stopAttempt, thawAttempt, type StopResult } from "./attempt/stop.ts";
import { socketPath } from "./runtime/tmux.ts";
import type { Usage } from "../domain/budget.ts";
import type { AgentResult } from "./types/agent-cli.ts";
import { detectAgentClis, type DetectedAgentCli } from "./types/index.ts";
import { readUsage } from "./attempt/usage.ts";
import { prepareWorkspace, type AgentsContext, type Workspace, type WorkspaceRequest } from "./workspace/workspace.ts";

export interface Agents {
  /** Step 2. It is idempotent, and fails with a SpawnError. */
  prepareWorkspace(request: WorkspaceRequest): Promise<Workspace>;
  /** Step 3. It does nothing when there is nothing to install. Its output goes to a log file next to the attempt's folder. */
  install(
    request: AttemptRef & {
      readonly setupCommand?: readonly string[];
      readonly timeoutMs?: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<InstallResult>;
  /** Step 4. It is idempotent for one dispatch, needs a prepared workspace, and throws when the agent type cannot run here. */
  writeAttempt(request: AttemptRequest): Promise<void>;
  /** Undoes step 4: prompt and secrets are overwritten and deleted. */
  shredAttempt(ref: AttemptRef): Promise<void>;
  /** Step 5. An agent of this dispatch that is already running is adopted. */
  start(ref: AttemptRef): Promise<StartResult>;
  /** Step 6. It throws SpawnError TIMEOUT or PROCESS_FAILED. */
  waitForHeartbeat(ref: AttemptRef, withinMs: number, signal?: AbortSignal): Promise<FirstHeartbeat>;
  /** Ends all processes of this attempt and prevents new ones. It also undoes step 5. */
  stop(ref: AttemptRef, options?: { readonly graceMs?: number }): Promise<StopResult>;
  /** Freezes its whole process tree until it is resumed; false when some processes are still running. */
  pause(ref: AttemptRef): Promise<boolean>;
  /** Resumes it and returns how many processes were resumed. */
  resume(ref: AttemptRef): Promise<number>;
  /** Observes all agents of this host. */
  observe(): Promise<Observation>;
  listOrphans(): Promise<readonly Orphan[]>;
  /** Requests a heartbeat from the supervisor now rather than at its next interval. */
  probe(ref: AttemptRef): Promise<void>;
  publish(request: { readonly taskId: string; readonly expectedOld?: string | null }): Promise<PublishResult>;
  /** Saves unsaved work, then removes the workspace, or keeps it and returns why. The attempt has to be stopped first. */
  cleanUp(request: AttemptRef & { readonly dryRun?: boolean }): Promise<CleanupResult>;
  readLog(ref: AttemptRef, range: LogRange): Promise<LogChunk>;
  collectFailure(ref: AttemptRef): Promise<CollectedFailure>;
  /** Parses the agent's output: its last message, a question, that no change was needed, or a provider's limit. */
  readResult(ref: AttemptRef): Promise<AgentResult>;
  /** Returns the total usage that the agent has reported. */
  readUsage(ref: AttemptRef): Promise<Usage | undefined>;
  /** Access to this host's disk for garbage collection. */
  readonly disk: GcDisk;
  /** Detects which agent programs are installed on this machine. */
  detect(): Promise<readonly DetectedAgentCli[]>;
  /** Closes connections; agents keep running. */
  close(): Promise<void>;
}

export interface AgentsOptions {
  /** FLEET_HOME. Every path is below it. */
  readonly home: string;
  /** The name of the tmux socket under the home, or an absolute path. */
  readonly socket?: string;
  readonly heartbeatIntervalMs: number;
  readonly clock: () => Date;
  /** The environment of every agent and installer, with PATH and HOME at least. They inherit nothing else from the worker. */
  readonly baseEnv: Readonly<Record<string, string>>;
  readonly minFreeMb?: number;
}

const DEFAULT_GRACE_MS = 5_000;
const INSTALL_TIMEOUT_MS = 10 * 60_000;
export const MIN_FREE_MB = 500;

export async function openAgents(options: AgentsOptions): Promise<Agents> {
  await mkdir(options.home, { recursive: true, mode: 0o700 });
  const home = await realpath(options.home);
  const context: AgentsContext = { home, mirrors: openMirrors({ home }), minFreeMb: options.minFreeMb ?? MIN_FREE_MB };
  const tmux = { home, socket: options.socket ?? "fleetwright" };
  const runtime = openTmuxServers(tmux);
  const observer = openObserver({ home, runtime, clock: options.clock });
  const dirOf = ({ taskId, attempt }: AttemptRef) => attemptDir(home, taskId, attempt);

  return {
    prepareWorkspace: (request) => prepareWorkspace(context, request),
    install: ({ taskId, attempt, setupCommand, signal, timeoutMs = INSTALL_TIMEOUT_MS }) =>
      installDependencies({
        home,
        signal,
        taskId,
        timeoutMs,
        env: options.baseEnv,
        logFile: join(dirname(dirOf({ taskId, attempt })), `install-${attempt}.log`),
        ...(setupCommand ? { setupCommand } : {}),
      }),
    writeAttempt: (request) => writeAttempt(home, options, request),
    shredAttempt: (ref) => shredAttemptDir(dirOf(ref)),
    start: (ref) => startAgent(home, runtime, ref),
    waitForHeartbeat: (ref, withinMs, signal) => waitForHeartbeat(dirOf(ref), withinMs, signal),
    async stop({ taskId, attempt }, { graceMs = DEFAULT_GRACE_MS } = {}) {
      const stopped = await stopAttempt({ home, runtime, taskId, attempt, graceMs });
      if (stopped.survivors.length === 0) await closeAttemptDir(home, taskId, attempt);
      return stopped;
    },
    pause: async (ref) => freezeAttempt(home, ref),
    resume: async (ref) => thawAttempt(home, ref),
    observe: () => observer.observe(),
    listOrphans: async () => (await observer.observe()).orphans,
    probe: (ref) => touchProbe(dirOf(ref)),
    publish: (request) => publishTaskBranch(context, request),
    async cleanUp(request) {
      const result = await removeWorkspace(context, request);
      if (!request.dryRun && result.decision.do !== "keep") await closeOtherAttemptDirs(home, request.taskId, null);
      return result;
    },
    readLog: (ref, range) => readAttemptLog(dirOf(ref), range),
    collectFailure: (ref) => collectFailure(context, dirOf(ref)),
    readResult: async (ref) => readResult(dirOf(ref)),
    readUsage: async (ref) => readUsage(dirOf(ref)),
    disk: openGcDisk(context, socketPath(tmux)),
    detect: () => detectAgentClis(options.baseEnv),
    async close() {},
  };
}
