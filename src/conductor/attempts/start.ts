/** Starting one attempt: a saga of idempotent steps. The worker that holds the claim finishes the saga or undoes it. */
import type { TaskJob } from "../../../queues/task-job.ts";
import { FleetError, SpawnError, StaleVersionError, messageOf } from "../../domain/errors.ts";
import { killSwitchOnRow } from "../../domain/task/kill-switch.ts";
import { findProduct } from "../../domain/settings/settings.ts";
import type { FailureClass, SpawnStep, Task } from "../../domain/task/task.ts";
import { unixUserOf } from "../../domain/tenant.ts";
import type { Workspace } from "../../agents/workspace/workspace.ts";
import { closeAttempt, listAttempts } from "../../store/attempts.ts";
import { findReachedCap } from "../../store/budgets.ts";
import { lockFreeSlots } from "../../store/hosts.ts";
import { findTaskAtEpoch, renewTaskLease } from "../../store/tasks.ts";
import { transitionTask } from "../../store/transitions.ts";
import { failTask } from "../tasks/fail.ts";
import { parkedTransition, yieldToKillSwitch } from "./enforce-kill-switches.ts";
import type { Fleet } from "../fleet.ts";
import { withLease, type Lease } from "../lease.ts";
import { applyTransition, buildTransition, ignoreStale } from "../tasks/transition.ts";
import { writePrompt } from "./prompt.ts";
import { mustWait, offerSlots, waitForBudget, waitForSlot } from "../tasks/slots.ts";
import { killSwitchOnTask, readKillSwitches } from "../products/kill-switches.ts";

/** After this the spawn of a dead worker is taken over, so the task loses at most this and one reconciler tick. */
const LEASE_MS = 4_000;
/** How long the spawn job itself waits for the first heartbeat; after that the monitor waits for it. */
const FIRST_HEARTBEAT_MS = 5_000;
const INSTALL_MS = 10 * 60_000;

/** Handles a spawn job. Undefined when the task's state or epoch has changed, or this host has no free slot. */
export async function startAttempt(fleet: Fleet, job: TaskJob, signal: AbortSignal): Promise<Task | undefined> {
  const claimed = await claim(fleet, job);
  return claimed && executeSpawn(fleet, claimed, signal);
}

/** Takes over the claim of a dead worker. Every step checks first what is already done. */
export async function resumeAttempt(fleet: Fleet, job: TaskJob, signal: AbortSignal): Promise<Task | undefined> {
  const task = await fleet.store.asSystem((tx) => findTaskAtEpoch(tx, job));
  if (task?.status !== "spawning" || task.host !== fleet.host.id || killSwitchOnRow(task)) return undefined;
  const mine = await ignoreStale(
    applyTransition(fleet, {
      task,
      takeOver: true,
      actor: fleet.worker,
      action: "spawn.resumed",
      leaseMs: LEASE_MS,
      patch: { waitingFor: null },
    }),
  );
  return mine && executeSpawn(fleet, mine, signal);
}

/** proposed or retrying → spawning, when the host has a free slot: counted under the host row's lock. */
async function claim(fleet: Fleet, job: TaskJob): Promise<Task | undefined> {
  await fleet.faultPoint("claim:before", job.taskId);
  let free = 0;
  const claimed = await fleet.store.asSystem(async (tx) => {
    const task = await findTaskAtEpoch(tx, job);
    if (task?.status !== "proposed" && task?.status !== "retrying") return undefined;
    const hold = await killSwitchOnTask(fleet, await readKillSwitches(fleet, tx, task.tenantId), task);
    if (hold) return void (await transitionTask(tx, buildTransition(fleet, parkedTransition(fleet, task, hold))));
    const cap = await findReachedCap(tx, task);
    if (cap) return waitForBudget(fleet, tx, task, cap);
    free = await lockFreeSlots(tx, fleet.host.id);
    if (await mustWait(tx, task, free)) return waitForSlot(fleet, tx, task);
    const metadata = { ...task.metadata, saga: { done: ["claim" as const] }, excusedMs: 0 };
    return transitionTask(
      tx,
      buildTransition(fleet, {
        task,
        to: "spawning",
        actor: fleet.worker,
        action: "spawn.claimed",
        detail: { host: fleet.host.id },
        patch: { host: fleet.host.id, dispatchId: fleet.newId(), metadata, condition: "ok", conditionDetail: null },
        leaseMs: LEASE_MS,
      }),
    );
  });
  if (claimed) fleet.kickRelay();
  // A slot is free although this task has to wait for its turn, so the next in the queue is offered it.
  else if (free > 0) await offerSlots(fleet);
  await fleet.faultPoint("claim:after", job.taskId);
  return claimed;
}

async function executeSpawn(fleet: Fleet, claimed: Task, signal: AbortSignal): Promise<Task | undefined> {
  return withLease({ signal, leaseMs: LEASE_MS, renew: () => renewClaim(fleet, claimed) }, async (lease) => {
    const saga = new Saga(fleet, claimed, lease);
    try {
      return await runSteps(fleet, saga, lease);
    } catch (error) {
      // After a shutdown or a takeover, the worker that has the task now continues from what is already done.
      if (lease.signal.aborted || error instanceof StaleVersionError) return undefined;
      if (error instanceof FleetError && error.failure.retry && !(error instanceof SpawnError)) throw error;
      // A worker that was suspended past its lease must not undo what its successor is doing.
      if (!(await renewClaim(fleet, saga.task))) return undefined;
      return compensate(fleet, saga, error);
    }
  });
}

function renewClaim(fleet: Fleet, { id, epoch }: Task): Promise<boolean> {
  return fleet.store.asSystem((tx) => renewTaskLease(tx, { taskId: id, epoch }, LEASE_MS));
}

/** The task as this worker last wrote it, and the steps that are done. */
class Saga {
  task: Task;
  readonly done: SpawnStep[] = ["claim"];
  readonly steps: { step: SpawnStep; ms: number; note?: string }[] = [];

  private readonly fleet: Fleet;
  private readonly lease: Lease;

  constructor(fleet: Fleet, task: Task, lease: Lease) {
    this.fleet = fleet;
    this.task = task;
    this.lease = lease;
  }

  async step<Result>(step: SpawnStep, work: () => Promise<Result>): Promise<Result> {
    this.lease.assertHeld();
    await this.fleet.faultPoint(`${step}:before`, this.task.id);
    const from = performance.now();
    const result = await work();
    this.done.push(step);
    this.steps.push({ step, ms: Math.round(performance.now() - from) });
    await this.fleet.faultPoint(`${step}:after`, this.task.id);
    return result;
  }

  get attemptRef() {
    return { taskId: this.task.id, attempt: this.task.attempt };
  }
}

/** Undefined when a kill switch was engaged in between: then the task waits, or was stopped. */
async function runSteps(fleet: Fleet, saga: Saga, lease: Lease): Promise<Task | undefined> {
  const product = findProduct(fleet.settings, saga.task.repository);
  await endEarlierAttempts(fleet, saga.task);

  const workspace = await saga.step("workspace", () => prepareWorkspace(fleet, saga.task));
  await saga.step("install", () =>
    fleet.agents.install({
      ...saga.attemptRef,
      timeoutMs: INSTALL_MS,
      signal: lease.signal,
      ...(product?.commands.setup ? { setupCommand: product.commands.setup } : {}),
    }),
  );
  const contextHash = await saga.step("prompt", () => writePrompt(fleet, saga.task));
  // Stored before the agent starts, so that it can be found and ended whatever happens next.
  saga.task = await applyTransition(fleet, {
    task: saga.task,
    actor: fleet.worker,
    action: "spawn.prepared",
    detail: { startSha: workspace.startSha, reused: workspace.reused, steps: saga.steps },
    patch: { workspacePath: workspace.path, contextHash, metadata: sagaMetadata(saga, workspace) },
    leaseMs: LEASE_MS,
  });
  if (await yieldToKillSwitch(fleet, saga.task)) return undefined;
  const { session } = await saga.step("process", () => fleet.agents.start(saga.attemptRef));
  const heartbeat = await saga.step("heartbeat", () => waitForFirstHeartbeat(fleet, saga, lease));
  return applyTransition(fleet, {
    task: saga.task,
    ...(heartbeat ? { to: "running" } : {}),
    actor: fleet.worker,
    action: heartbeat ? "task.running" : "spawn.awaits_heartbeat",
    detail: { session, pid: heartbeat?.pid ?? null, steps: saga.steps },
    patch: { tmuxSession: session, metadata: sagaMetadata(saga, workspace) },
    ...(heartbeat ? {} : { leaseMs: fleet.settings.monitor.spawnTimeoutMs + LEASE_MS }),
  });
}

/** Stops what still runs on this host of earlier attempts, before a new one works in the same place. */
async function endEarlierAttempts(fleet: Fleet, task: Task): Promise<void> {
  const attempts = await fleet.store.asSystem((tx) => listAttempts(tx, task.id));
  for (const { attempt, host, closedAt } of attempts) {
    if (attempt >= task.attempt || host !== fleet.host.id || closedAt) continue;
    await fleet.agents.stop({ taskId: task.id, attempt });
    await fleet.store.asSystem((tx) => closeAttempt(tx, task.id, attempt));
  }
}

async function prepareWorkspace(fleet: Fleet, task: Task): Promise<Workspace> {
  const repository = await fleet.forges.of(task.repository).ensure(task.repository);
  return fleet.agents.prepareWorkspace({
    taskId: task.id,
    attempt: task.attempt,
    repositoryUrl: repository.url,
    branch: task.branch,
    baseBranch: task.baseBranch,
    kind: task.metadata.workspaceKind ?? "worktree",
    fromBranchIfExists: true,
    unixUser: unixUserOf(fleet.settings, task.tenantId),
  });
}

/** Undefined when none came in time: the agent may still be starting. */
async function waitForFirstHeartbeat(fleet: Fleet, saga: Saga, lease: Lease) {
  try {
    return await fleet.agents.waitForHeartbeat(saga.attemptRef, FIRST_HEARTBEAT_MS, lease.signal);
  } catch (error) {
    if (error instanceof SpawnError && error.facts["spawnCode"] === "TIMEOUT") return undefined;
    throw error;
  }
}

function sagaMetadata(saga: Saga, workspace: Workspace): Task["metadata"] {
  const done = [...saga.done];
  return { ...saga.task.metadata, saga: { done, startSha: workspace.startSha, steps: [...saga.steps] } };
}

/** Undoes the steps in reverse order, then fails the task. What cannot be undone now is cleaned up by the host's next tick. */
async function compensate(fleet: Fleet, saga: Saga, cause: unknown): Promise<Task | undefined> {
  const undone: string[] = [];
  const undo = async (step: string, work: () => Promise<unknown>) => {
    await work().then(
      () => undone.push(step),
      (error: unknown) =>
        fleet.log.warn(
          { event: "spawn.compensation", taskId: saga.task.id, step, error: String(error) },
          "spawn step could not be undone",
        ),
    );
  };
  await fleet.faultPoint("compensate:before", saga.task.id);
  await undo("process", () => fleet.agents.stop(saga.attemptRef));
  await undo("prompt", () => fleet.agents.shredAttempt(saga.attemptRef));
  if (saga.task.attempt === 0) await undo("workspace", () => fleet.agents.cleanUp(saga.attemptRef));
  await fleet.faultPoint("compensate:after", saga.task.id);

  const message = messageOf(cause);
  const facts = cause instanceof FleetError ? cause.facts : {};
  fleet.log.warn(
    { event: "spawn.failed", taskId: saga.task.id, attempt: saga.task.attempt, ...facts, undone },
    message,
  );
  const failed = await ignoreStale(
    failTask(fleet, saga.task, {
      class: classifySpawnError(cause),
      reason: `spawn_failed_after_${saga.done.at(-1) ?? "claim"}`,
      summary: message,
      detail: { undone, ...facts },
    }),
  );
  await offerSlots(fleet);
  return failed;
}

function classifySpawnError(cause: unknown): FailureClass {
  return cause instanceof SpawnError && cause.facts["spawnCode"] === "NO_SECRET"
    ? "policy_refusal"
    : "environment_error";
}
