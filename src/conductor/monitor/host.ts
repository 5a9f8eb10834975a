/** A host's tick: report its agents' facts in one batch, then see to what only this machine can do. */
import type { Orphan } from "../../agents/attempt/facts.ts";
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
import { runOpenGcRequests } from "../gc/ask.ts";
import { superviseTasks } from "./sweep.ts";
import { recoverRuns } from "../orders/recover.ts";
import { offerSlots } from "../tasks/slots.ts";
import { closeWithUsage, cleanUpLock, cleanUpTask } from "../tasks/clean-up.ts";
import type { Attempt } from "../../domain/task/attempt.ts";

/** What is known of the machine itself, measured by the caller. */
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
/** In one go: the lock that keeps others away is not held for long. */
const MAX_BATCH = 20;
/** Mostly waiting for git; more would take the processors from agents. */
const CONCURRENCY = 3;

/** Facts first: one statement for all agents. Then what follows from them; whatever may take long is for `tendHost`. */
export async function tickHost(fleet: Fleet, measures: HostMetrics): Promise<HostTick> {
  const { id, bootId, slots } = fleet.host;
  const { tickMs, ...measured } = measures;
  const report = { id, bootId, slots, reporter: fleet.worker, ...measured };
  if (!(await fleet.store.asSystem((tx) => renewHost(tx, report, 3 * tickMs)))) return STANDING_BY;

  const { facts, orphans, problems } = await fleet.agents.observe();
  if (problems.length > 0)
    fleet.log.warn({ event: "host.unseen", problems: problems.slice(0, 5) }, "not everything could be looked at");
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
 * This host's duties, each found in the rows, so none can be lost: ending what should not run, removing what is over. Beside
 * the tick, because a stubborn process or a big working copy would hold up the facts until the host's lease is gone.
 * One process of this machine at a time; undefined when another is at it.
 */
export async function runHostDuties(
  fleet: Fleet,
  signal?: AbortSignal,
): Promise<{ ended: number; cleaned: number } | undefined> {
  return fleet.store.tryWithLock(`tend/${fleet.host.id}`, async () => {
    // Side by side: where many agents end, removing what is over must not fall behind.
    const [ended, cleaned] = await Promise.all([
      stopStaleAttempts(fleet, signal),
      cleanUpEndedTasks(fleet, signal),
      recoverRuns(fleet, signal),
      runOpenGcRequests(fleet),
    ]);
    return { ended, cleaned };
  });
}

/** An agent that asks is waiting for a person, not stalled. Its words are untrusted: cut, and shown escaped. */
async function recordQuestions(fleet: Fleet): Promise<void> {
  const speakers = await fleet.store.asSystem((tx) => listActiveAgents(tx, fleet.host.id));
  if (speakers.length === 0) return;
  const questions = await Promise.all(
    speakers.map(async (run) => {
      const { question } = await fleet.agents.readResult(run);
      return { taskId: run.taskId, question: question && toStorableJson(question) };
    }),
  );
  await fleet.store.asSystem((tx) => markQuestions(tx, questions));
}

/** Gives the lease back at shutdown; agents run on, and the next worker of this host adopts them. */
export async function releaseHostLease(fleet: Fleet): Promise<void> {
  await fleet.store.asSystem((tx) => releaseHost(tx, fleet.host.id, fleet.worker));
}

/** Answers a host job: the fast way to what the tick would find by itself. */
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

/** What runs here and should not: attempts of the past, of ended tasks, of tasks that moved to another host. */
async function stopStaleAttempts(fleet: Fleet, signal?: AbortSignal): Promise<number> {
  const stale = await fleet.store.asSystem((tx) => listStaleAttempts(tx, fleet.host.id, MAX_BATCH));
  for (let from = 0; from < stale.length; from += CONCURRENCY) {
    if (signal?.aborted) break;
    await Promise.all(stale.slice(from, from + CONCURRENCY).map((attempt) => stopAttempt(fleet, attempt)));
  }
  return stale.length;
}

async function stopAttempt(fleet: Fleet, { taskId, attempt }: Pick<Attempt, "taskId" | "attempt">): Promise<void> {
  const stopped = await fleet.agents.stop({ taskId, attempt });
  if (stopped.survivors.length > 0) {
    const facts = { event: "agent.survives", taskId, attempt, pids: stopped.survivors };
    fleet.log.error(facts, "processes survive SIGKILL");
    return;
  }
  await closeWithUsage(fleet, { taskId, attempt });
}

async function cleanUpEndedTasks(fleet: Fleet, signal?: AbortSignal): Promise<number> {
  const tasks = await fleet.store.asSystem((tx) => listTasksToClean(tx, fleet.host.id, MAX_BATCH));
  for (let from = 0; from < tasks.length; from += CONCURRENCY) {
    if (signal?.aborted) break;
    await Promise.all(tasks.slice(from, from + CONCURRENCY).map((task) => cleanUpExclusively(fleet, task)));
  }
  return tasks.length;
}

/** Another process of this machine may be at it: after a change of reporter, or because the owner asked. */
async function cleanUpExclusively(fleet: Fleet, task: Task): Promise<void> {
  try {
    await fleet.store.tryWithLock(cleanUpLock(task.id), (tx) => reloadAndCleanUp(fleet, tx, task.id));
  } catch (error) {
    if (error instanceof StaleVersionError) return;
    fleet.log.warn(
      { event: "cleanup.failed", taskId: task.id, error: String(error) },
      "a working copy could not be removed",
    );
  }
}

async function reloadAndCleanUp(fleet: Fleet, tx: Tx, taskId: string): Promise<void> {
  const task = await findTask(tx, taskId);
  if (task?.workspacePath && !task.metadata.workspaceKept) await cleanUpTask(fleet, task);
}
