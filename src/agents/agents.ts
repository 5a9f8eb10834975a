/** Everything that can be done with agents on this machine, behind one interface: what the use cases see of this folder. */
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
  /** Step 2. Idempotent. Fails with a SpawnError. */
  prepareWorkspace(ask: WorkspaceRequest): Promise<Workspace>;
  /** Step 3. Skipped when there is nothing to do; its output goes to the run's log folder. */
  install(
    ask: AttemptRef & {
      readonly setupCommand?: readonly string[];
      readonly timeoutMs?: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<InstallResult>;
  /** Step 4. Idempotent for one dispatch; needs a prepared workspace. Throws when that agent type cannot run here. */
  writeAttempt(ask: AttemptRequest): Promise<void>;
  /** Undoes step 4: prompt and secrets are overwritten and gone. */
  shredAttempt(run: AttemptRef): Promise<void>;
  /** Step 5. Looks first: what runs already is adopted. */
  start(run: AttemptRef): Promise<StartResult>;
  /** Step 6. Throws SpawnError TIMEOUT or PROCESS_FAILED. */
  waitForHeartbeat(run: AttemptRef, withinMs: number, signal?: AbortSignal): Promise<FirstHeartbeat>;
  /** Nothing of this attempt runs afterwards, and nothing of it can start any more. Also undoes step 5. */
  stop(run: AttemptRef, options?: { readonly graceMs?: number }): Promise<StopResult>;
  /** Stops its whole process tree until it is resumed; false when something of it still moves. */
  pause(run: AttemptRef): Promise<boolean>;
  /** How many processes go on. */
  resume(run: AttemptRef): Promise<number>;
  /** One look at everything on this host. */
  observe(): Promise<Observation>;
  listOrphans(): Promise<readonly Orphan[]>;
  /** Asks the supervisor for a beat now rather than at its next interval. */
  probe(run: AttemptRef): Promise<void>;
  publish(ask: { readonly taskId: string; readonly expectedOld?: string | null }): Promise<PublishResult>;
  /** Stops nothing: stop first. Saves what would be lost, then removes the workspace, or keeps it and says why. */
  cleanUp(ask: AttemptRef & { readonly dryRun?: boolean }): Promise<CleanupResult>;
  readLog(run: AttemptRef, range: LogRange): Promise<LogChunk>;
  collectFailure(run: AttemptRef): Promise<CollectedFailure>;
  /** What the agent said with its output: its last message, a question, that nothing was to do, a provider's limit. */
  readResult(run: AttemptRef): Promise<AgentResult>;
  /** What the agent says that it has used, all in all. */
  readUsage(run: AttemptRef): Promise<Usage | undefined>;
  /** What lies on this host, and may be over: for gc. */
  readonly disk: GcDisk;
  /** Which agent programs are on this machine. */
  detect(): Promise<readonly DetectedAgentCli[]>;
  /** Ends our connections; agents run on. */
  close(): Promise<void>;
}

export interface AgentsOptions {
  /** FLEET_HOME; every path is below it. */
  readonly home: string;
  /** Name of the tmux socket under the home, or an absolute path. */
  readonly socket?: string;
  readonly heartbeatIntervalMs: number;
  readonly clock: () => Date;
  /** What every agent and installer gets: PATH and HOME at least. Nothing else of the worker's environment reaches them. */
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
    writeAttempt: (ask) => writeAttempt(home, options, ask),
    shredAttempt: (ref) => shredAttemptDir(dirOf(ref)),
    start: (run) => startAgent(home, runtime, run),
    waitForHeartbeat: (run, withinMs, signal) => waitForHeartbeat(dirOf(run), withinMs, signal),
    async stop({ taskId, attempt }, { graceMs = DEFAULT_GRACE_MS } = {}) {
      const stopped = await stopAttempt({ home, runtime, taskId, attempt, graceMs });
      if (stopped.survivors.length === 0) await closeAttemptDir(home, taskId, attempt);
      return stopped;
    },
    pause: async (run) => freezeAttempt(home, run),
    resume: async (run) => thawAttempt(home, run),
    observe: () => observer.observe(),
    listOrphans: async () => (await observer.observe()).orphans,
    probe: (run) => touchProbe(dirOf(run)),
    publish: (ask) => publishTaskBranch(context, ask),
    async cleanUp(ask) {
      const result = await removeWorkspace(context, ask);
      if (!ask.dryRun && result.decision.do !== "keep") await closeOtherAttemptDirs(home, ask.taskId, null);
      return result;
    },
    readLog: (run, range) => readAttemptLog(dirOf(run), range),
    collectFailure: (run) => collectFailure(context, dirOf(run)),
    readResult: async (run) => readResult(dirOf(run)),
    readUsage: async (run) => readUsage(dirOf(run)),
    disk: openGcDisk(context, socketPath(tmux)),
    detect: () => detectAgentClis(options.baseEnv),
    async close() {},
  };
}
