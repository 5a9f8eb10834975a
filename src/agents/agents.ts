/** Everything that can be done with agents on this machine, behind one interface: what the use cases see of this folder. */
import type { AgentType } from "../domain/task.ts";
import type { Published } from "./branches.ts";
import type { CleanUpResult } from "./cleanup.ts";
import type { Observation, Orphan } from "./facts.ts";
import type { Installed } from "./install.ts";
import type { LogChunk, LogRange } from "./run-log.ts";
import type { Stopped } from "./stop.ts";
import type { Workspace, WorkspaceRequest } from "./workspace.ts";

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

export interface Agents {
  /** Step 2. Idempotent. Fails with a SpawnError. */
  prepareWorkspace(ask: WorkspaceRequest): Promise<Workspace>;
  /** Step 3. Skipped when there is nothing to do; its output goes to the run's log folder. */
  install(ask: RunRef & { readonly setupCommand?: readonly string[]; readonly timeoutMs?: number }): Promise<Installed>;
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
  pause(run: RunRef): Promise<number>;
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
