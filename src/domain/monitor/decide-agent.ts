/** Decides about a task whose agent is starting or running, from its process, its commits and its pull request. */
import { reachedCaps, firstReachedCap, WARN_SHARE } from "../budget.ts";
import type { Decision, MonitoredTask, TaskFacts } from "./decision.ts";
import type { MonitorPolicy } from "../settings/monitor.ts";
import type { StoredAgentFacts } from "./facts.ts";
import { classifyExit } from "../task/failure.ts";
import { healthOf } from "./heartbeat.ts";
import { decideStall } from "./stall.ts";
import type { Condition, FailureClass } from "../task/task.ts";

export interface MonitorInput {
  readonly task: MonitoredTask;
  readonly facts: TaskFacts;
  readonly policy: MonitorPolicy;
  readonly now: Date;
}

const MINUTE_MS = 60_000;
/** A single dead probe may have caught a process between two states, so a second one a tick later has to confirm it. */
const MIN_DEAD_PROBES = 2;

export function decideSpawning(input: MonitorInput): Decision[] {
  const { task, policy, now } = input;
  const agent = ownFacts(input);
  if (agent?.heartbeatAt) {
    return [{ do: "run", reason: "first_heartbeat", evidence: { heartbeatAt: agent.heartbeatAt, pid: agent.pid } }];
  }
  if (isHostLost(input)) return [hostLost(input)];
  if (agent?.exit) return [decideEnded(input, agent)];

  const spawned = task.spawnedAt ?? task.updatedAt;
  const isStarted = task.metadata.saga?.done.includes("process") ?? false;
  // Before the process exists, an installer may be running: the task's time-out limits that, not the spawn time-out.
  const limitMs = isStarted ? policy.monitor.spawnTimeoutMs : task.timeoutMinutes * MINUTE_MS;
  const [since, excused] = isStarted ? [task.updatedAt, 0] : [spawned, input.facts.excusedMs];
  // For a started agent the wait counts from the row's last change, which a release from a pause also is.
  const waitedMs = now.getTime() - since.getTime() - excused;
  if (waitedMs < limitMs) return [];
  return [{ do: "fail", class: "timeout", reason: "no_heartbeat", evidence: { waitedMs, limitMs } }];
}

/** Delivered work takes precedence over the state of the process: an agent that pushed and then died has delivered. */
export function decideRunning(input: MonitorInput): Decision[] {
  const delivered = checkDelivery(input);
  if (delivered) return [delivered];
  const agent = ownFacts(input);
  const spent = agent?.exit ? undefined : checkBudget(input);
  if (spent) return [spent];
  if (input.task.condition === "operator_attached") return checkWaitLimit(input);

  const end = checkEnd(input, agent);
  if (end) return [end];
  const waits = checkWaiting(input, agent);
  if (waits) return waits;
  const limit = checkTimeout(input);
  if (limit) return [limit];
  const doubt = findDoubt(input, agent);
  if (doubt) return decideDoubtful(input, doubt);
  return [...clearCondition(input), ...budgetWarnings(input), ...checkStall(input, agent)];
}

function checkEnd(input: MonitorInput, agent: StoredAgentFacts | undefined): Decision | undefined {
  if (agent?.exit) return decideEnded(input, agent);
  if (isHostLost(input)) return hostLost(input);
  return agent && hasExited(agent) ? decideEnded(input, agent) : undefined;
}

/** Facts of another dispatch describe an agent that no longer works on this task, so they are ignored. */
function ownFacts({ task, facts }: MonitorInput): StoredAgentFacts | undefined {
  const { agent } = facts;
  if (!agent || agent.attempt !== task.attempt) return undefined;
  return task.dispatchId === null || agent.dispatchId === task.dispatchId ? agent : undefined;
}

/** Tells whether this attempt created the head: the branch may still be at a commit of the previous attempt. */
function isOwnHead({ task }: MonitorInput, headSha: string): boolean {
  const startSha = task.metadata.saga?.startSha;
  return startSha === undefined ? task.attempt === 0 : headSha !== startSha;
}

function checkDelivery(input: MonitorInput): Decision | undefined {
  const { pullRequest, branch, opensOnPush } = input.facts;
  const isOwn = pullRequest !== undefined && pullRequest.state !== "closed" && isOwnHead(input, pullRequest.headSha);
  if (isOwn) {
    const { number, headSha, state } = pullRequest;
    return { do: "pr_created", number, headSha, reason: "pull_request_exists", evidence: { number, headSha, state } };
  }
  const isPushed = branch !== undefined && isOwnHead(input, branch.headSha) && branch.headSha !== pullRequest?.headSha;
  if (!isPushed || !opensOnPush) return undefined;
  return { do: "open_pull_request", headSha: branch.headSha, reason: "branch_pushed", evidence: { ...branch } };
}

/** The process has ended. The outcome depends on evidence, not on the exit code: commits are published, and no commit is a failure. */
function decideEnded(input: MonitorInput, agent: StoredAgentFacts): Decision {
  const { branch, pullRequest } = input.facts;
  const { exit, headSha, commitsAhead, pane, process } = agent;
  const evidence = { exit, headSha, commitsAhead, pane, process };
  const isPushed = branch !== undefined && isOwnHead(input, branch.headSha);
  if (pullRequest?.state === "closed" && pullRequest.headSha === (isPushed ? branch.headSha : headSha)) {
    return { do: "fail", class: "policy_refusal", reason: "pull_request_closed", evidence };
  }
  const isOwn = headSha === null ? input.task.attempt === 0 : isOwnHead(input, headSha);
  const hasCommits = commitsAhead > 0 && isOwn;
  // On a forge where a push does not open a pull request, a pushed branch may still lack one.
  if (hasCommits || isPushed) return decidePublish(input, isPushed ? branch.headSha : headSha, evidence);
  if (!exit) return { do: "fail", class: "agent_error", reason: "process_gone", evidence };
  const why = classifyExit({ exitCode: exit.code, signal: exit.signal, outOfMemory: exit.oom });
  return { do: "fail", ...why, evidence };
}

function decidePublish(
  { facts, policy }: MonitorInput,
  headSha: string | null,
  evidence: Decision["evidence"],
): Decision {
  if (policy.pr.open === "agent" && !facts.opensOnPush) {
    return { do: "fail", class: "no_evidence", reason: "no_pull_request", evidence };
  }
  if (facts.branch && facts.branch.headSha === headSha) {
    return { do: "open_pull_request", headSha, reason: "branch_pushed", evidence };
  }
  return { do: "publish", headSha, reason: "commits_unpublished", evidence };
}

/** Both the process and the pane are gone, and were at the previous probe. */
function hasExited({ process, pane, deadProbes }: StoredAgentFacts): boolean {
  return process === "dead" && (pane === "dead" || pane === "missing") && deadProbes >= MIN_DEAD_PROBES;
}

function isHostLost({ facts, policy, now }: MonitorInput): boolean {
  return facts.host !== undefined && now.getTime() - facts.host.leaseUntil.getTime() > policy.monitor.hostGraceMs;
}

function hostLost({ task, facts }: MonitorInput): Decision {
  const evidence = { host: task.host, leaseUntil: facts.host?.leaseUntil };
  return { do: "fail", class: "host_lost", reason: "host_lost", evidence };
}

/** Waiting for a person or a provider is no stall and does not count as run time, but it is limited too. Undefined when it does not wait. */
function checkWaiting(input: MonitorInput, agent: StoredAgentFacts | undefined): Decision[] | undefined {
  const { task, now } = input;
  if (agent?.needsInput && task.condition !== "needs_input" && task.condition !== "paused") {
    const { needsInput: detail } = agent;
    return [{ do: "set_condition", condition: "needs_input", detail, reason: "agent_asks", evidence: detail }];
  }
  const isAnswered = task.condition === "needs_input" && agent !== undefined && !agent.needsInput;
  const isQuotaOver = task.condition === "waiting_quota" && quotaResetAt(task) <= now.getTime();
  return isAnswered || isQuotaOver || !WAIT_LIMITS[task.condition] ? undefined : checkWaitLimit(input);
}

/** Returns when the provider's quota resets; Infinity when it did not say, so that only the wait limit ends the wait. */
function quotaResetAt({ conditionDetail }: MonitoredTask): number {
  const until = conditionDetail?.["until"];
  const at = typeof until === "string" || until instanceof Date ? new Date(until).getTime() : Number.NaN;
  return Number.isNaN(at) ? Infinity : at;
}

interface WaitLimitRule {
  readonly setting: "needsInput" | "waitingQuota" | "operatorAttached" | "paused";
  readonly class: FailureClass;
  readonly reason: string;
}

const WAIT_LIMITS: Readonly<Partial<Record<Condition, WaitLimitRule>>> = {
  needs_input: { setting: "needsInput", class: "policy_refusal", reason: "question_unanswered" },
  waiting_quota: { setting: "waitingQuota", class: "provider_limit", reason: "quota_wait_too_long" },
  operator_attached: { setting: "operatorAttached", class: "timeout", reason: "attached_too_long" },
  paused: { setting: "paused", class: "timeout", reason: "paused_too_long" },
};

function checkWaitLimit({ task, policy, now }: MonitorInput): Decision[] {
  const rule = WAIT_LIMITS[task.condition];
  if (!rule) return [];
  const { maxMinutes, atMost } = policy.monitor[rule.setting];
  const waitedMs = now.getTime() - (task.conditionSince ?? task.updatedAt).getTime();
  if (waitedMs < maxMinutes * MINUTE_MS) return [];
  const seen = { reason: rule.reason, evidence: { condition: task.condition, waitedMs } };
  return [atMost === "hold" ? { do: "hold", ...seen } : { do: "fail", class: rule.class, ...seen }];
}

/** Its own, or its operator's or tenant's. An operator who has it open in a terminal uses it up as well. */
function checkBudget({ task, facts }: MonitorInput): Decision | undefined {
  const cap = firstReachedCap(task.budget, task.spend) ?? facts.exhaustedCap;
  return cap && { do: "fail", class: "budget_exceeded", reason: "budget_exceeded", evidence: { ...cap } };
}

function budgetWarnings({ task }: MonitorInput): Decision[] {
  const alreadyWarned = task.metadata.budgetWarned ?? [];
  const caps = reachedCaps(task.budget, task.spend, WARN_SHARE).filter(({ what }) => !alreadyWarned.includes(what));
  return caps
    .slice(0, 1)
    .map((cap) => ({ do: "warn_budget", cap, reason: "budget_nearly_used", evidence: { ...cap } }));
}

function checkTimeout({ task, facts, now }: MonitorInput): Decision | undefined {
  if (!task.spawnedAt) return undefined;
  const tookMs = now.getTime() - task.spawnedAt.getTime() - facts.excusedMs;
  if (tookMs < task.timeoutMinutes * MINUTE_MS) return undefined;
  return { do: "fail", class: "timeout", reason: "timeout", evidence: { tookMs, timeoutMinutes: task.timeoutMinutes } };
}

/** Returns why the facts cannot be relied on now; undefined when they are complete and consistent. */
function findDoubt({ task, policy, now }: MonitorInput, agent: StoredAgentFacts | undefined): string | undefined {
  const { hostGraceMs, heartbeatIntervalMs } = policy.monitor;
  const seenAt = agent?.observedAt ?? task.updatedAt;
  if (now.getTime() - seenAt.getTime() > hostGraceMs) return "not_seen";
  if (!agent) return undefined;
  const planes = findContradiction(agent);
  if (planes) return planes;
  return healthOf(agent.heartbeatAt ?? undefined, heartbeatIntervalMs, now) === "healthy"
    ? undefined
    : "heartbeat_stale";
}

function findContradiction({ process, pane }: StoredAgentFacts): string | undefined {
  if (process === "unknown" || pane === "unknown") return "probe_failed";
  if (process === "dead") return pane === "alive" ? "process_dead_pane_alive" : "seen_dead_once";
  return pane === "alive" ? undefined : "process_alive_pane_gone";
}

/** Marks the task as doubtful first. If its host is alive but does not report the agent for another grace period, the attempt fails. */
function decideDoubtful(input: MonitorInput, doubt: string): Decision[] {
  const { task, facts, policy, now } = input;
  const evidence = { doubt, observedAt: facts.agent?.observedAt ?? null };
  if (task.condition !== "doubtful") {
    return [{ do: "set_condition", condition: "doubtful", detail: evidence, reason: doubt, evidence }];
  }
  const doubtedMs = now.getTime() - (task.conditionSince ?? task.updatedAt).getTime();
  const isHostAlive = facts.host !== undefined && facts.host.leaseUntil.getTime() > now.getTime();
  if (doubt !== "not_seen" || !isHostAlive || doubtedMs < policy.monitor.hostGraceMs) return [];
  return [{ do: "fail", class: "environment_error", reason: "conductor_restart", evidence }];
}

function clearCondition({ task }: MonitorInput): Decision[] {
  if (task.condition === "ok") return [];
  const evidence = { was: task.condition };
  return [{ do: "set_condition", condition: "ok", detail: null, reason: `${task.condition}_over`, evidence }];
}

function checkStall({ task, policy, now }: MonitorInput, agent: StoredAgentFacts | undefined): Decision[] {
  // While the condition is being cleared, its change is not in the row yet: silence before it must not count as a stall.
  if (!agent || task.condition !== "ok") return [];
  const stalled = decideStall(agent, task.conditionSince, policy.monitor.stallMinutes * MINUTE_MS, now);
  const evidence = { progressAt: agent.progressAt, nudgedAt: agent.nudgedAt };
  if (stalled === "nudge") return [{ do: "nudge", reason: "quiet", evidence }];
  return stalled === "stalled" ? [{ do: "fail", class: "stall", reason: "stalled", evidence }] : [];
}
