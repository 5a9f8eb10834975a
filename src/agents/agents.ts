/** Everything that can be done with agents on this machine, behind one interface: what the use cases see of this folder. */
import { mkdir, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { openMirrors } from "../git/mirror.ts";
import {
  collectFailure,
  publishTask,
  readResult,
  startAttempt,
  waitForFirstBeat,
  writeRun,
  type CollectedFailure,
  type FirstBeat,
  type RunRef,
  type RunRequest,
  type Started,
} from "./attempt/start-agent.ts";
import type { Published } from "./workspace/branches.ts";
import { removeWorkspace, type CleanUpResult } from "./cleanup/cleanup.ts";
import { openDisk, type Disk } from "./cleanup/gc-disk.ts";
import { openObserver, type Observation, type Orphan } from "./attempt/facts.ts";
import { installDependencies, type Installed } from "./workspace/install.ts";
import { runDirOf } from "./paths.ts";
import { closeOtherRuns, closeRun, shredRunDir, touchProbe } from "./attempt/attempt-dir.ts";
import { readRunLog, type LogChunk, type LogRange } from "./attempt/attempt-log.ts";
import { openServers } from "./runtime/tmux-servers.ts";
import { freezeAttempt, stopAttempt, thawAttempt, type Stopped } from "./attempt/stop.ts";
import { socketPath } from "./runtime/tmux.ts";
import type { Usage } from "../domain/budget.ts";
import type { AgentResult } from "./types/agent-cli.ts";
import { detectAgentClis, type DetectedAgentCli } from "./types/index.ts";
import { readUsage } from "./attempt/usage.ts";
import { prepareWorkspace, type Place, type Workspace, type WorkspaceRequest } from "./workspace/workspace.ts";

export interface Agents {
  /** Step 2. Idempotent. Fails with a SpawnError. */
  prepareWorkspace(ask: WorkspaceRequest): Promise<Workspace>;
  /** Step 3. Skipped when there is nothing to do; its output goes to the run's log folder. */
  install(
    ask: RunRef & {
      readonly setupCommand?: readonly string[];
      readonly timeoutMs?: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<Installed>;
  /** Step 4. Idempotent for one dispatch; needs a prepared workspace. Throws when that agent type cannot run here. */
  writeRun(ask: RunRequest): Promise<void>;
  /** Undoes step 4: prompt and secrets are overwritten and gone. */
  shredRun(run: RunRef): Promise<void>;
  /** Step 5. Looks first: what runs already is adopted. */
  start(run: RunRef): Promise<Started>;
  /** Step 6. Throws SpawnError TIMEOUT or PROCESS_FAILED. */
  waitForHeartbeat(run: RunRef, withinMs: number, signal?: AbortSignal): Promise<FirstBeat>;
  /** Nothing of this attempt runs afterwards, and nothing of it can start any more. Also undoes step 5. */
  stop(run: RunRef, options?: { readonly graceMs?: number }): Promise<Stopped>;
  /** Stops its whole process tree until it is resumed; false when something of it still moves. */
  pause(run: RunRef): Promise<boolean>;
  /** How many processes go on. */
  resume(run: RunRef): Promise<number>;
  /** One look at everything on this host. */
  observe(): Promise<Observation>;
  listOrphans(): Promise<readonly Orphan[]>;
  /** Asks the supervisor for a beat now rather than at its next interval. */
  probe(run: RunRef): Promise<void>;
  publish(ask: { readonly taskId: string; readonly expectedOld?: string | null }): Promise<Published>;
  /** Stops nothing: stop first. Saves what would be lost, then removes the workspace, or keeps it and says why. */
  cleanUp(ask: RunRef & { readonly dryRun?: boolean }): Promise<CleanUpResult>;
  readLog(run: RunRef, range: LogRange): Promise<LogChunk>;
  collectFailure(run: RunRef): Promise<CollectedFailure>;
  /** What the agent said with its output: its last message, a question, that nothing was to do, a provider's limit. */
  readResult(run: RunRef): Promise<AgentResult>;
  /** What the agent says that it has used, all in all. */
  readUsage(run: RunRef): Promise<Usage | undefined>;
  /** What lies on this host, and may be over: for gc. */
  readonly disk: Disk;
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
const MIN_FREE_MB = 500;

export async function openAgents(options: AgentsOptions): Promise<Agents> {
  await mkdir(options.home, { recursive: true, mode: 0o700 });
  const home = await realpath(options.home);
  const place: Place = { home, mirrors: openMirrors({ home }), minFreeMb: options.minFreeMb ?? MIN_FREE_MB };
  const tmux = { home, socket: options.socket ?? "fleetwright" };
  const runtime = openServers(tmux);
  const observer = openObserver({ home, runtime, clock: options.clock });
  const dirOf = ({ taskId, attempt }: RunRef) => runDirOf(home, taskId, attempt);

  return {
    prepareWorkspace: (ask) => prepareWorkspace(place, ask),
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
    writeRun: (ask) => writeRun(home, options, ask),
    shredRun: (run) => shredRunDir(dirOf(run)),
    start: (run) => startAttempt(home, runtime, run),
    waitForHeartbeat: (run, withinMs, signal) => waitForFirstBeat(dirOf(run), withinMs, signal),
    async stop({ taskId, attempt }, { graceMs = DEFAULT_GRACE_MS } = {}) {
      const stopped = await stopAttempt({ home, runtime, taskId, attempt, graceMs });
      if (stopped.survivors.length === 0) await closeRun(home, taskId, attempt);
      return stopped;
    },
    pause: async (run) => freezeAttempt(home, run),
    resume: async (run) => thawAttempt(home, run),
    observe: () => observer.observe(),
    listOrphans: async () => (await observer.observe()).orphans,
    probe: (run) => touchProbe(dirOf(run)),
    publish: (ask) => publishTask(place, ask),
    async cleanUp(ask) {
      const result = await removeWorkspace(place, ask);
      if (!ask.dryRun && result.decision.do !== "keep") await closeOtherRuns(home, ask.taskId, null);
      return result;
    },
    readLog: (run, range) => readRunLog(dirOf(run), range),
    collectFailure: (run) => collectFailure(place, dirOf(run)),
    readResult: async (run) => readResult(dirOf(run)),
    readUsage: async (run) => readUsage(dirOf(run)),
    disk: openDisk(place, socketPath(tmux)),
    detect: () => detectAgentClis(options.baseEnv),
    async close() {},
  };
}
