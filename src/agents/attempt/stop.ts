/** Ending an attempt for certain: first the fence, then the agent's whole tree, then its session; and looking that nothing is left. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import {
  findMarked,
  freezeTree,
  isAlive,
  killTree,
  signalTree,
  type Marker,
  type ProcessRef,
} from "../../command/process-tree.ts";
import { shortId } from "../../domain/task/task.ts";
import { attemptDir } from "../paths.ts";
import { fenceAttempt, readAttempt } from "./attempt-dir.ts";
import type { Runtime } from "../runtime/runtime.ts";

export interface StopRequest {
  readonly home: string;
  readonly runtime: Runtime;
  readonly taskId: string;
  readonly attempt: number;
  readonly graceMs: number;
}

export interface StopResult {
  /** False when the attempt was closed before anything had been started. */
  readonly hadStarted: boolean;
  readonly killed: number;
  /** Process ids still there after SIGKILL: something for a human. */
  readonly survivors: readonly number[];
}

/** Between the fence and its notes the supervisor needs a few milliseconds. */
const AGENT_PID_TIMEOUT_MS = 1_000;
/** How long the supervisor gets to write down how the agent ended. */
const EXIT_RECORD_TIMEOUT_MS = 2_000;
const POLL_MS = 15;

export function sessionName(taskId: string, attempt: number): string {
  return `fleet-${shortId(taskId)}-${attempt}`;
}

/** Everything an attempt starts carries this in its environment. Its own, not its task's: the next attempt may run already. */
function attemptMarker(dir: string): Marker {
  return { name: "FLEET_RUN", value: dir };
}

/** Of any attempt of the task. */
export function taskMarker(taskId: string): Marker {
  return { name: "FLEET_TASK", value: taskId };
}

export async function stopAttempt(request: StopRequest): Promise<StopResult> {
  const dir = attemptDir(request.home, request.taskId, request.attempt);
  const session = sessionName(request.taskId, request.attempt);
  const marker = attemptMarker(dir);
  // No run directory: nothing was ever written, so nothing can start from it.
  const fence = await fenceAttempt(dir).catch(() => "closed" as const);
  const supervisor = await findSupervisor(request.runtime, session);
  if (fence === "closed") {
    const { signalled } = await killTree([], { graceMs: 0, marker });
    await request.runtime.kill(session);
    return { hadStarted: false, killed: signalled.length, survivors: pidsOf(findMarked(marker)) };
  }

  await writeFile(join(dir, "stopping"), "", { mode: 0o600 }).catch(() => undefined);
  const agent = await findAgent(dir, supervisor);
  const killed = await killTree(agent ? [agent] : [], { graceMs: request.graceMs, marker });
  await waitUntil(
    () => readAttempt(dir).exit !== undefined || !supervisor || !isAlive(supervisor.pid),
    EXIT_RECORD_TIMEOUT_MS,
  );
  const rest = await killTree(supervisor ? [supervisor] : [], { graceMs: 0, marker });
  await request.runtime.kill(session);
  const survivors = new Set([...pidsOf(killed.survivors), ...pidsOf(rest.survivors), ...pidsOf(findMarked(marker))]);
  return { hadStarted: true, killed: killed.signalled.length, survivors: [...survivors].filter((pid) => isAlive(pid)) };
}

/** Stops the agent and everything it started; false when something of it still moves. The supervisor goes on and can be asked. */
export function freezeAttempt(home: string, ref: { taskId: string; attempt: number }): boolean {
  const dir = attemptDir(home, ref.taskId, ref.attempt);
  const agent = readAttempt(dir).process;
  return freezeTree(agent ? [agent] : [], attemptMarker(dir));
}

/** Lets it go on; says how many processes. */
export function thawAttempt(home: string, ref: { taskId: string; attempt: number }): number {
  const dir = attemptDir(home, ref.taskId, ref.attempt);
  const agent = readAttempt(dir).process;
  return signalTree(agent ? [agent] : [], "SIGCONT", attemptMarker(dir)).length;
}

/** The runtime may be away: then the processes are found without it. */
async function findSupervisor(runtime: Runtime, session: string): Promise<ProcessRef | undefined> {
  const panes = await runtime.listActive().catch(() => []);
  const pid = panes.find((pane) => pane.session === session && !pane.isDead)?.pid;
  return pid === undefined || pid === null ? undefined : { pid };
}

async function findAgent(dir: string, supervisor: ProcessRef | undefined): Promise<ProcessRef | undefined> {
  const readAgent = () => readAttempt(dir).process;
  await waitUntil(() => readAgent() !== undefined || !supervisor || !isAlive(supervisor.pid), AGENT_PID_TIMEOUT_MS);
  return readAgent();
}

async function waitUntil(condition: () => boolean, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!condition() && performance.now() < deadline) await pause(POLL_MS);
}

function pidsOf(processes: readonly { readonly pid: number }[]): number[] {
  return processes.map(({ pid }) => pid);
}
