/** A host's tick: it reports the facts of its agents in one batch, then does what only this machine can do. */
import type { Orphan } from "../../agents/attempt/facts.ts";
import { inBatches } from "../../domain/batches.ts";
import { StaleVersionError } from "../../domain/errors.ts";
import type { HostTaskJob } from "../../../queues/host.ts";
import type { Task } from "../../domain/task/task.ts";
import { toStorableJson } from "../../domain/text/untrusted.ts";
import { listStaleAttempts } from "../../store/attempts.ts";
import { recordUsage } from "../../store/budgets.ts";
import { listActiveAgents, markQuestions, upsertFacts } from "../../store/heartbeats.ts";
import { releaseHost, renewHost } from "../../store/hosts.ts";
import type { Tx } from "../../store/sql.ts";
import { findTask, listTasksOnHost, listTasksToClean } from "../../store/tasks.ts";
import { resumeAttempt } from "../attempts/start.ts";
import type { Fleet } from "../fleet.ts";
import { runOpenGcRequests } from "../gc/requests.ts";
import { superviseTasks } from "./sweep.ts";
import { recoverRuns } from "../orders/recover.ts";
import { offerSlots } from "../tasks/slots.ts";
import { closeWithUsage, cleanUpLock, cleanUpTask } from "../tasks/clean-up.ts";
import type { Attempt } from "../../domain/task/attempt.ts";

/** Facts about the machine itself, measured by the caller. */
export interface HostMetrics {
  readonly versions: Readonly<Record<string, string>>;
  readonly load: number;
  readonly diskFreeMb: number;
  /** The lease lasts three ticks. */
  readonly tickMs: number;
}

export interface HostTick {
  /** False: another process of this machine reports; this one stands by. */
  readonly reporting: boolean;
  readonly agents: number;
  readonly orphans: readonly Orphan[];
}

const STANDING_BY: HostTick = { reporting: false, agents: 0, orphans: [] };
/** Per pass, so that the lock is not held for long. */
const MAX_BATCH = 20;
/** The work mostly waits for git; more at once would take the processors from agents. */
const CONCURRENCY = 3;

/** Reports the facts of all agents in one statement, then acts on them. What may take long is done by `runHostDuties`. */
export async function tickHost(fleet: Fleet, measures: HostMetrics): Promise<HostTick> {
  const { id, bootId, slots } = fleet.host;
  const { tickMs, ...measured } = measures;
  const report = { id, bootId, slots, reporter: fleet.worker, ...measured };
  if (!(await fleet.store.asSystem((tx) => renewHost(tx, report, 3 * tickMs)))) return STANDING_BY;

  const { facts, orphans, problems } = await fleet.agents.observe();
  if (problems.length > 0)
    fleet.log.warn({ event: "host.unseen", problems: problems.slice(0, 5) }, "some agents could not be observed");
  await fleet.store.asSystem(async (tx) => {
    await upsertFacts(tx, id, facts);
    await recordUsage(tx, facts);
  });
  await recordQuestions(fleet);
  const mine = await fleet.store.asSystem((tx) => listTasksOnHost(tx, id));
  await superviseTasks(fleet, mine);
  await offerSlots(fleet);
  return { reporting: true, agents: facts.length, orphans };
}

/**
 * Stops agents that should not run, and removes the working copies of ended tasks. Everything follows from rows, so nothing is
 * lost. It runs apart from the tick, because a stubborn process or a large working copy would delay the facts until the host's
 * lease runs out. One process of this machine at a time; undefined when another is doing it.
 */
export async function runHostDuties(
  fleet: Fleet,
  signal?: AbortSignal,
): Promise<{ ended: number; cleaned: number } | undefined> {
  return fleet.store.tryWithLock(`tend/${fleet.host.id}`, async () => {
    // In parallel, so that removing working copies does not fall behind while many agents end.
    const [ended, cleaned] = await Promise.all([
      stopStaleAttempts(fleet, signal),
      cleanUpEndedTasks(fleet, signal),
      recoverRuns(fleet, signal),
      runOpenGcRequests(fleet),
    ]);
    return { ended, cleaned };
  });
}

/** An agent that asks a question waits for a person and is not stalled. The question is untrusted text: cut, and shown escaped. */
async function recordQuestions(fleet: Fleet): Promise<void> {
  const agents = await fleet.store.asSystem((tx) => listActiveAgents(tx, fleet.host.id));
  if (agents.length === 0) return;
  const questions = await Promise.all(
    agents.map(async (agent) => {
      const { question } = await fleet.agents.readResult(agent);
      return { taskId: agent.taskId, question: question && toStorableJson(question) };
    }),
  );
  await fleet.store.asSystem((tx) => markQuestions(tx, questions));
}

/** Gives the lease back at shutdown. Agents keep running, and the next worker of this host adopts them. */
export async function releaseHostLease(fleet: Fleet): Promise<void> {
  await fleet.store.asSystem((tx) => releaseHost(tx, fleet.host.id, fleet.worker));
}

/** Handles a host job at once; the next tick would find the same work by itself. */
export async function handleHostJob(fleet: Fleet, job: HostTaskJob, signal: AbortSignal): Promise<Task | undefined> {
  if (job.act === "resume-spawn") return resumeAttempt(fleet, { taskId: job.taskId, epoch: job.epoch }, signal);
  const task = await fleet.store.asSystem((tx) => findTask(tx, job.taskId));
  if (!task) return undefined;
  await stopStaleAttempts(fleet);
  if (task.host === fleet.host.id && task.completedAt && task.workspacePath) {
    await cleanUpExclusively(fleet, task);
  }
  return task;
}

/** Stops earlier attempts, and attempts of tasks that ended or moved to another host. */
async function stopStaleAttempts(fleet: Fleet, signal?: AbortSignal): Promise<number> {
  const stale = await fleet.store.asSystem((tx) => listStaleAttempts(tx, fleet.host.id, MAX_BATCH));
  await inBatches(stale, CONCURRENCY, (attempt) => stopAttempt(fleet, attempt), signal);
  return stale.length;
}

async function stopAttempt(fleet: Fleet, { taskId, attempt }: Pick<Attempt, "taskId" | "attempt">): Promise<void> {
  const stopped = await fleet.agents.stop({ taskId, attempt });
  if (stopped.survivors.length > 0) {
    const facts = { event: "agent.survives", taskId, attempt, pids: stopped.survivors };
    fleet.log.error(facts, "processes survived SIGKILL");
    return;
  }
  await closeWithUsage(fleet, { taskId, attempt });
}

async function cleanUpEndedTasks(fleet: Fleet, signal?: AbortSignal): Promise<number> {
  const tasks = await fleet.store.asSystem((tx) => listTasksToClean(tx, fleet.host.id, MAX_BATCH));
  await inBatches(tasks, CONCURRENCY, (task) => cleanUpExclusively(fleet, task), signal);
  return tasks.length;
}

/** Another process of this machine may be cleaning it up: after a change of reporter, or for `fleet rm`. */
async function cleanUpExclusively(fleet: Fleet, task: Task): Promise<void> {
  try {
    await fleet.store.tryWithLock(cleanUpLock(task.id), (tx) => reloadAndCleanUp(fleet, tx, task.id));
  } catch (error) {
    if (error instanceof StaleVersionError) return;
    fleet.log.warn(
      { event: "cleanup.failed", taskId: task.id, error: String(error) },
      "working copy could not be removed",
    );
  }
}

async function reloadAndCleanUp(fleet: Fleet, tx: Tx, taskId: string): Promise<void> {
  const task = await findTask(tx, taskId);
  if (task?.workspacePath && !task.metadata.workspaceKept) await cleanUpTask(fleet, task);
}
