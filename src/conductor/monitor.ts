/** The monitor: facts in, decisions out, each acted on by one transaction. One task's trouble never touches another's. */
import type { Decision } from "../domain/decision.ts";
import { StaleVersionError } from "../domain/errors.ts";
import { classifyCi } from "../domain/failure.ts";
import { decideTask } from "../domain/monitor.ts";
import { isTerminal, type Task, type TaskStatus } from "../domain/task.ts";
import { toStorable } from "../domain/untrusted.ts";
import { markNudged } from "../store/heartbeats.ts";
import { closePullRequest, openPullRequest } from "../store/pull-requests.ts";
import { WORKER } from "../store/store.ts";
import { listLiveTasks } from "../store/tasks.ts";
import { transitionTask } from "../store/transitions.ts";
import { startCi } from "./ci.ts";
import { failTask } from "./fail.ts";
import { gatherFacts, type Known } from "./facts.ts";
import type { Fleet } from "./fleet.ts";
import { mergeReady } from "./merge.ts";
import { moveTask, transitionOf } from "./move.ts";
import { settleRound, startReview } from "./review.ts";
import { offerSlots } from "./slots.ts";

/** A decision may make the next one possible (pull request → checks → review); more than this in one look is a bug. */
const MOST_STEPS = 6;
/** Conditions in which time counts neither as stall nor towards the time-out. */
const EXCUSING = new Set(["needs_input", "waiting_quota", "operator_attached", "paused"]);

export interface Swept {
  readonly looked: number;
  readonly acted: number;
  readonly errors: number;
}

/** One look at a shard of live tasks; undefined when another worker is looking at it. */
export async function sweepShard(fleet: Fleet, shard: { shard: number; of: number }): Promise<Swept | undefined> {
  return fleet.store.exclusively(`sweep/${shard.shard}/${shard.of}`, async () => {
    const tasks = await fleet.store.transaction(WORKER, (tx) => listLiveTasks(tx, shard));
    return superviseTasks(fleet, tasks);
  });
}

/** Looks at these tasks until nothing more follows from what is known. */
export async function superviseTasks(fleet: Fleet, tasks: readonly Task[]): Promise<Swept> {
  let open = tasks;
  let acted = 0;
  let errors = 0;
  let freed = false;
  const before = new Map(tasks.map(({ id, status }) => [id, status]));
  for (let step = 0; step < MOST_STEPS && open.length > 0; step += 1) {
    const known = await gatherFacts(fleet, open);
    const moved: Task[] = [];
    for (const task of open) {
      try {
        const after = await superviseOne(fleet, task, known.get(task.id));
        if (after) moved.push(after);
      } catch (error) {
        if (error instanceof StaleVersionError) continue;
        errors += 1;
        fleet.log.warn(
          { event: "monitor.skipped", taskId: task.id, error: String(error) },
          "a task could not be looked at",
        );
      }
    }
    acted += moved.length;
    freed ||= moved.some(({ id, status }) => !holdsHost(status) && holdsHost(before.get(id)));
    open = moved.filter((task) => !isTerminal(task.status));
  }
  if (freed) await offerSlots(fleet);
  return { looked: tasks.length, acted, errors };
}

function holdsHost(status: TaskStatus | undefined): boolean {
  return status === "spawning" || status === "running";
}

/** The task as it is after acting on what follows first; undefined when nothing was done. */
async function superviseOne(fleet: Fleet, task: Task, known: Known | undefined): Promise<Task | undefined> {
  if (!known) return undefined;
  const decisions = decideTask(task, known.facts, fleet.settings, fleet.clock());
  let after: Task | undefined;
  for (const decision of decisions) after = (await act(fleet, after ?? task, known, decision)) ?? after;
  return after;
}

async function act(fleet: Fleet, task: Task, known: Known, decision: Decision): Promise<Task | undefined> {
  const because = { actor: fleet.worker, detail: { reason: decision.reason, evidence: decision.evidence } };
  switch (decision.do) {
    case "run":
      return moveTask(fleet, { task, to: "running", action: "task.running", ...because });
    case "open_pull_request":
      return openFor(fleet, task, known, decision.headSha);
    case "pr_created":
      return moveTask(fleet, {
        task,
        to: "pr_created",
        action: "task.pr_created",
        ...because,
        told: `pull request #${decision.number}`,
        patch: {
          prNumber: decision.number,
          prUrl: `${task.repository}#${decision.number}`,
          headSha: decision.headSha,
          ciStatus: "none",
          condition: "ok",
          conditionDetail: null,
        },
      });
    case "publish":
      return publish(fleet, task, known);
    case "start_ci":
      return startCi(fleet, task, decision.headSha);
    case "start_review":
      return startReview(fleet, task, decision.headSha, decision.round);
    case "settle_review":
      return settleRound(fleet, { taskId: task.id, epoch: task.epoch }, decision.onTimeout);
    case "merged":
      return recordMerged(fleet, task, known, decision.mergeSha);
    case "merge":
      return mergeReady(fleet, task, "policy:auto-merge");
    case "nudge":
      await fleet.store.transaction(WORKER, (tx) => markNudged(tx, task.id));
      if (isMine(fleet, task)) await fleet.agents.probe({ taskId: task.id, attempt: task.attempt });
      return undefined;
    case "set_condition":
      return moveTask(fleet, {
        task,
        action: `condition.${decision.condition}`,
        ...because,
        patch: {
          condition: decision.condition,
          conditionDetail: decision.detail,
          metadata: { ...task.metadata, excusedMs: excusedMs(task, fleet.clock()) },
        },
        ...(decision.condition === "needs_input" ? { notify: "needs_input" as const, told: decision.reason } : {}),
      });
    case "hold":
      return moveTask(fleet, {
        task,
        action: "task.held",
        ...because,
        told: decision.reason.replaceAll("_", " "),
        notify: "needs_input",
        patch: {
          condition: "needs_input",
          conditionDetail: { text: decision.reason.replaceAll("_", " "), held: true },
        },
      });
    case "fail":
      return fail(fleet, task, known, decision);
  }
}

function isMine(fleet: Fleet, task: Task): boolean {
  return task.host === fleet.host.id;
}

function excusedMs(task: Task, now: Date): number {
  const before = task.metadata.excusedMs ?? 0;
  if (!EXCUSING.has(task.condition) || !task.conditionSince) return before;
  return before + Math.max(0, now.getTime() - task.conditionSince.getTime());
}

/** The agent's commits are on its host only: that host pushes them and opens the pull request; others leave it to it. */
async function publish(fleet: Fleet, task: Task, known: Known): Promise<Task | undefined> {
  if (!isMine(fleet, task)) return undefined;
  await fleet.faultPoint("publish:before", task.id);
  const published = await fleet.agents.publish({ taskId: task.id, expectedOld: known.facts.branch?.headSha ?? null });
  await fleet.faultPoint("publish:after", task.id);
  return openFor(fleet, task, known, published.sha);
}

/** Opens the pull request of this head, or moves the open one's; then the task itself is patched, so that the look goes on. */
async function openFor(fleet: Fleet, task: Task, known: Known, headSha: string): Promise<Task | undefined> {
  const { repository } = known;
  if (!repository) return undefined;
  const { mergeBase } = await fleet.forge.compare(repository, task.baseBranch, headSha);
  // Together with the task's own row: whoever looks with old eyes, at a branch that is merged by now, opens no second one.
  const moved = await fleet.store.transaction(WORKER, async (tx) => {
    const { number } = await openPullRequest(tx, {
      repository: task.repository,
      taskId: task.id,
      tenantId: task.tenantId,
      operatorId: task.operatorId,
      title: task.title,
      headBranch: task.branch,
      baseBranch: task.baseBranch,
      headSha,
      baseSha: mergeBase ?? headSha,
      openedBy: fleet.worker,
      attempt: task.attempt,
    });
    return transitionTask(
      tx,
      transitionOf(fleet, {
        task,
        actor: fleet.worker,
        action: "pull_request.opened",
        detail: { number, headSha },
        patch: { prNumber: number, prUrl: `${task.repository}#${number}`, headSha },
      }),
    );
  });
  fleet.kickRelay();
  return moved;
}

async function recordMerged(fleet: Fleet, task: Task, known: Known, mergeSha: string | null): Promise<Task> {
  const { pullRequest } = known;
  if (pullRequest?.state === "open") {
    const end = { state: "merged" as const, ...(mergeSha ? { mergeSha } : {}) };
    await fleet.store.transaction(WORKER, (tx) => closePullRequest(tx, pullRequest, end));
  }
  return moveTask(fleet, { task, to: "merged", actor: fleet.worker, action: "task.merged", told: "merged outside" });
}

/** Classes of an agent that ended without work: what it said last may explain it. */
const WITHOUT_WORK = new Set(["no_evidence", "agent_error"]);

/** "Nothing has to be changed" is an outcome, but one that a person confirms: by stopping the task, or by asking again. */
async function holdUnchanged(fleet: Fleet, task: Task, why: string): Promise<Task | undefined> {
  if (task.condition === "needs_input") return undefined;
  const text = `The agent says that nothing has to be changed: ${toStorable(why, 1_000)}`;
  return moveTask(fleet, {
    task,
    actor: fleet.worker,
    action: "task.unchanged",
    told: text,
    notify: "needs_input",
    patch: { condition: "needs_input", conditionDetail: { text, held: true } },
  });
}

/** What its own host can still tell of it goes into the failure; a lost host's facts are lost with it. */
async function fail(
  fleet: Fleet,
  task: Task,
  known: Known,
  decision: Extract<Decision, { do: "fail" }>,
): Promise<Task | undefined> {
  const hostAlive = (known.facts.host?.leaseUntil.getTime() ?? 0) > fleet.clock().getTime();
  const isLive = task.status === "spawning" || task.status === "running";
  if (isLive && hostAlive && !isMine(fleet, task)) return undefined;
  const run = { taskId: task.id, attempt: task.attempt };
  if (isMine(fleet, task) && WITHOUT_WORK.has(decision.class)) {
    const said = await fleet.agents.readResult(run);
    if (said.noChangeNeeded !== null) return holdUnchanged(fleet, task, said.noChangeNeeded);
    if (said.limit) {
      const reason = `provider_limit${said.limit.resetsAt ? `_until_${said.limit.resetsAt.toISOString()}` : ""}`;
      return failTask(fleet, task, { class: "provider_limit", reason, detail: { evidence: decision.evidence } });
    }
  }
  const collected = isMine(fleet, task) ? await fleet.agents.collectFailure(run) : undefined;
  const checks = decision.class === "ci_failed" ? known.ciRuns.at(-1) : undefined;
  const ci = checks && classifyCi({ status: "failing", steps: checks.steps }, false);
  const reason = ci?.reason ?? decision.reason;
  return failTask(fleet, task, {
    ...collected,
    class: ci?.class ?? decision.class,
    reason,
    summary: summaryOf(reason, checks?.logExcerpt ?? collected?.outputTail),
    ...(checks?.logExcerpt ? { ciLog: checks.logExcerpt } : {}),
    ...(task.spawnedAt ? { durationMs: fleet.clock().getTime() - task.spawnedAt.getTime() } : {}),
    detail: { evidence: decision.evidence },
  });
}

/** The reason as a sentence, with the last line that says something. */
function summaryOf(reason: string, output: string | undefined): string {
  const sentence = `${reason.charAt(0).toUpperCase()}${reason.slice(1).replaceAll("_", " ")}.`;
  const words = output?.trimEnd().split("\n").at(-1)?.trim();
  return words ? `${sentence} Last words: ${words.slice(0, 300)}` : sentence;
}
