/** Stops an attempt reliably: first the fence, then the agent's process tree, then its session, and finally a check that nothing is left. */
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
  /** Processes that survived SIGKILL and need a person's attention. */
  readonly survivors: readonly number[];
}

/** The supervisor needs a few milliseconds between creating the fence and recording the agent's process. */
const AGENT_PID_TIMEOUT_MS = 1_000;
/** How long the supervisor has to record how the agent ended. */
const EXIT_RECORD_TIMEOUT_MS = 2_000;
const POLL_MS = 15;

export function sessionName(taskId: string, attempt: number): string {
  return `fleet-${shortId(taskId)}-${attempt}`;
}

/** Everything that an attempt starts carries this in its environment. It is specific to the attempt, because the next one may already be running. */
function attemptMarker(dir: string): Marker {
  return { name: "FLEET_RUN", value: dir };
}

/** Marks the processes of any attempt of the task. */
export function taskMarker(taskId: string): Marker {
  return { name: "FLEET_TASK", value: taskId };
}

export async function stopAttempt(request: StopRequest): Promise<StopResult> {
  const dir = attemptDir(request.home, request.taskId, request.attempt);
  const session = sessionName(request.taskId, request.attempt);
  const marker = attemptMarker(dir);
  // Without an attempt folder nothing can start, so it counts as closed.
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

/** Freezes the agent and everything it started; false when some processes are still running. The supervisor keeps running, so it can still be probed. */
export function freezeAttempt(home: string, ref: { taskId: string; attempt: number }): boolean {
  const dir = attemptDir(home, ref.taskId, ref.attempt);
  const agent = readAttempt(dir).process;
  return freezeTree(agent ? [agent] : [], attemptMarker(dir));
}

/** Resumes the agent's processes and returns how many there are. */
export function thawAttempt(home: string, ref: { taskId: string; attempt: number }): number {
  const dir = attemptDir(home, ref.taskId, ref.attempt);
  const agent = readAttempt(dir).process;
  return signalTree(agent ? [agent] : [], "SIGCONT", attemptMarker(dir)).length;
}

/** Returns undefined when the runtime is unavailable; the processes are then found by their marker. */
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
