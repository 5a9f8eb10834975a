/** A host's tick: report its agents' facts in one batch, then see to what only this machine can do. */
import type { Orphan } from "../../agents/attempt/facts.ts";
import { StaleVersionError } from "../../domain/errors.ts";
import type { HostTaskJob } from "../../../queues/host.ts";
import type { Task } from "../../domain/task/task.ts";
import { toStorableJson } from "../../domain/text/untrusted.ts";
import { listStaleAttempts, type Attempt } from "../../store/attempts.ts";
import { recordUsage } from "../../store/budgets.ts";
import { listSpeaking, markQuestions, upsertFacts } from "../../store/heartbeats.ts";
import { releaseHost, renewHost } from "../../store/hosts.ts";
import type { Tx } from "../../store/sql.ts";
import { WORKER } from "../../store/store.ts";
import { findTask, listTasksOnHost, listTasksToClean } from "../../store/tasks.ts";
import { resumeAttempt } from "../attempts/start.ts";
import type { Fleet } from "../fleet.ts";
import { answerOpenGc } from "../gc/ask.ts";
import { superviseTasks } from "./sweep.ts";
import { tendRuns } from "../orders/recover.ts";
import { offerSlots } from "../tasks/slots.ts";
import { close, cleanUpLock, cleanUpTask } from "../tasks/clean-up.ts";

/** What is known of the machine itself, measured by the caller. */
export interface HostMeasures {
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
const MOST = 20;
/** Mostly waiting for git; more would take the processors from agents. */
const AT_ONCE = 3;

/** Facts first: one statement for all agents. Then what follows from them; whatever may take long is for `tendHost`. */
export async function tickHost(fleet: Fleet, measures: HostMeasures): Promise<HostTick> {
  const { id, bootId, slots } = fleet.host;
  const { tickMs, ...measured } = measures;
  const report = { id, bootId, slots, reporter: fleet.worker, ...measured };
  if (!(await fleet.store.transaction(WORKER, (tx) => renewHost(tx, report, 3 * tickMs)))) return STANDING_BY;

  const { facts, orphans, problems } = await fleet.agents.observe();
  if (problems.length > 0)
    fleet.log.warn({ event: "host.unseen", problems: problems.slice(0, 5) }, "not everything could be looked at");
  await fleet.store.transaction(WORKER, async (tx) => {
    await upsertFacts(tx, id, facts);
    await recordUsage(tx, facts);
  });
  await noteQuestions(fleet);
  const mine = await fleet.store.transaction(WORKER, (tx) => listTasksOnHost(tx, id));
  await superviseTasks(fleet, mine);
  await offerSlots(fleet);
  return { reporting: true, agents: facts.length, orphans };
}

/**
 * This host's duties, each found in the rows, so none can be lost: ending what should not run, removing what is over. Beside
 * the tick, because a stubborn process or a big working copy would hold up the facts until the host's lease is gone.
 * One process of this machine at a time; undefined when another is at it.
 */
export async function tendHost(
  fleet: Fleet,
  signal?: AbortSignal,
): Promise<{ ended: number; cleaned: number } | undefined> {
  return fleet.store.exclusively(`tend/${fleet.host.id}`, async () => {
    // Side by side: where many agents end, removing what is over must not fall behind.
    const [ended, cleaned] = await Promise.all([
      endStaleAttempts(fleet, signal),
      cleanUpEnded(fleet, signal),
      tendRuns(fleet, signal),
      answerOpenGc(fleet),
    ]);
    return { ended, cleaned };
  });
}

/** An agent that asks is waiting for a person, not stalled. Its words are untrusted: cut, and shown escaped. */
async function noteQuestions(fleet: Fleet): Promise<void> {
  const speaking = await fleet.store.transaction(WORKER, (tx) => listSpeaking(tx, fleet.host.id));
  if (speaking.length === 0) return;
  const asked = await Promise.all(
    speaking.map(async (run) => {
      const { question } = await fleet.agents.readResult(run);
      return { taskId: run.taskId, question: question && toStorableJson(question) };
    }),
  );
  await fleet.store.transaction(WORKER, (tx) => markQuestions(tx, asked));
}

/** Gives the lease back at shutdown; agents run on, and the next worker of this host adopts them. */
export async function leaveHost(fleet: Fleet): Promise<void> {
  await fleet.store.transaction(WORKER, (tx) => releaseHost(tx, fleet.host.id, fleet.worker));
}

/** Answers a host job: the fast way to what the tick would find by itself. */
export async function attendTask(fleet: Fleet, job: HostTaskJob, signal: AbortSignal): Promise<Task | undefined> {
  if (job.act === "resume-spawn") return resumeAttempt(fleet, { taskId: job.taskId, epoch: job.epoch }, signal);
  const task = await fleet.store.transaction(WORKER, (tx) => findTask(tx, job.taskId));
  if (!task) return undefined;
  await endStaleAttempts(fleet);
  if (task.host === fleet.host.id && task.completedAt && task.workspacePath) {
    await cleanUpAlone(fleet, task);
  }
  return task;
}

/** What runs here and should not: attempts of the past, of ended tasks, of tasks that moved to another host. */
async function endStaleAttempts(fleet: Fleet, signal?: AbortSignal): Promise<number> {
  const stale = await fleet.store.transaction(WORKER, (tx) => listStaleAttempts(tx, fleet.host.id, MOST));
  for (let from = 0; from < stale.length; from += AT_ONCE) {
    if (signal?.aborted) break;
    await Promise.all(stale.slice(from, from + AT_ONCE).map((attempt) => endAttempt(fleet, attempt)));
  }
  return stale.length;
}

async function endAttempt(fleet: Fleet, { taskId, attempt }: Pick<Attempt, "taskId" | "attempt">): Promise<void> {
  const stopped = await fleet.agents.stop({ taskId, attempt });
  if (stopped.survivors.length > 0) {
    const facts = { event: "agent.survives", taskId, attempt, pids: stopped.survivors };
    fleet.log.error(facts, "processes survive SIGKILL");
    return;
  }
  await close(fleet, { taskId, attempt });
}

async function cleanUpEnded(fleet: Fleet, signal?: AbortSignal): Promise<number> {
  const tasks = await fleet.store.transaction(WORKER, (tx) => listTasksToClean(tx, fleet.host.id, MOST));
  for (let from = 0; from < tasks.length; from += AT_ONCE) {
    if (signal?.aborted) break;
    await Promise.all(tasks.slice(from, from + AT_ONCE).map((task) => cleanUpAlone(fleet, task)));
  }
  return tasks.length;
}

/** Another process of this machine may be at it: after a change of reporter, or because the owner asked. */
async function cleanUpAlone(fleet: Fleet, task: Task): Promise<void> {
  try {
    await fleet.store.exclusively(cleanUpLock(task.id), (tx) => cleanUpFresh(fleet, tx, task.id));
  } catch (error) {
    if (error instanceof StaleVersionError) return;
    fleet.log.warn(
      { event: "cleanup.failed", taskId: task.id, error: String(error) },
      "a working copy could not be removed",
    );
  }
}

async function cleanUpFresh(fleet: Fleet, tx: Tx, taskId: string): Promise<void> {
  const task = await findTask(tx, taskId);
  if (task?.workspacePath && !task.metadata.workspaceKept) await cleanUpTask(fleet, task);
}
