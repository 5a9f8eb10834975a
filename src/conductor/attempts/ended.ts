/** An attempt that ended without delivering: what can still be learnt of it, and what becomes of the task. */
import type { Decision } from "../../domain/monitor/decision.ts";
import { classifyCi } from "../../domain/task/failure.ts";
import type { Task } from "../../domain/task/task.ts";
import { toStorable } from "../../domain/text/untrusted.ts";
import { failTask, type TaskFailure } from "../tasks/fail.ts";
import type { TaskObservation } from "../tasks/facts.ts";
import type { Fleet } from "../fleet.ts";
import { applyTransition } from "../tasks/transition.ts";

type FailDecision = Extract<Decision, { do: "fail" }>;

export function isOnThisHost(fleet: Fleet, task: Task): boolean {
  return task.host === fleet.host.id;
}

/** Classes of an agent that ended without work: what it said last may explain it. */
const NO_WORK_CLASSES = new Set(["no_evidence", "agent_error"]);

/** "Nothing has to be changed" is an outcome, but one that a person confirms: by stopping the task, or by asking again. */
async function holdNoChange(fleet: Fleet, task: Task, why: string): Promise<Task | undefined> {
  if (task.condition === "needs_input") return undefined;
  const text = `The agent says that nothing has to be changed: ${toStorable(why, 1_000)}`;
  return applyTransition(fleet, {
    task,
    actor: fleet.worker,
    action: "task.unchanged",
    message: text,
    notify: "needs_input",
    patch: { condition: "needs_input", conditionDetail: { text, held: true } },
  });
}

/** What its own host can still tell of it goes into the failure; a lost host's facts are lost with it. */
export async function failEndedAttempt(
  fleet: Fleet,
  task: Task,
  observed: TaskObservation,
  decision: FailDecision,
): Promise<Task | undefined> {
  const hostAlive = (observed.facts.host?.leaseUntil.getTime() ?? 0) > fleet.clock().getTime();
  const isLive = task.status === "spawning" || task.status === "running";
  if (isLive && hostAlive && !isOnThisHost(fleet, task)) return undefined;
  if (isOnThisHost(fleet, task) && NO_WORK_CLASSES.has(decision.class)) {
    const result = await fleet.agents.readResult({ taskId: task.id, attempt: task.attempt });
    if (result.noChangeNeeded !== null) return holdNoChange(fleet, task, result.noChangeNeeded);
    if (result.limit) return failTask(fleet, task, providerLimitFailure(result.limit.resetsAt, decision));
  }
  return failTask(fleet, task, await collectEvidence(fleet, task, observed, decision));
}

function providerLimitFailure(resetsAt: Date | null, { evidence }: FailDecision): TaskFailure {
  const reason = `provider_limit${resetsAt ? `_until_${resetsAt.toISOString()}` : ""}`;
  return { class: "provider_limit", reason, detail: { evidence } };
}

async function collectEvidence(
  fleet: Fleet,
  task: Task,
  observed: TaskObservation,
  decision: FailDecision,
): Promise<TaskFailure> {
  const attemptRef = { taskId: task.id, attempt: task.attempt };
  const collected = isOnThisHost(fleet, task) ? await fleet.agents.collectFailure(attemptRef) : undefined;
  const checks = decision.class === "ci_failed" ? observed.ciRuns.at(-1) : undefined;
  const ci = checks && classifyCi({ status: "failing", steps: checks.steps }, { passedBefore: false });
  const why = ci ?? { class: decision.class, reason: decision.reason };
  return {
    ...collected,
    ...why,
    // Masked before a line is taken out of it: alone, a line of a private key looks like nothing.
    summary: summarizeFailure(why.reason, fleet.redactor.redact(checks?.logExcerpt ?? collected?.outputTail ?? "")),
    ciLog: checks?.logExcerpt ?? undefined,
    durationMs: task.spawnedAt ? fleet.clock().getTime() - task.spawnedAt.getTime() : undefined,
    detail: { evidence: decision.evidence },
  };
}

/** What the log of checks says itself, and what says nothing. */
const NOISE_LINE = /^(?:\[[a-z]+ ended with \w+\]|\[stopped after \d+ ms\]|\$ .{1,500}   \([a-z]+\))?$/;

/** The reason as a sentence, with the last line that says something. */
function summarizeFailure(reason: string, output: string | undefined): string {
  const sentence = `${reason.charAt(0).toUpperCase()}${reason.slice(1).replaceAll("_", " ")}.`;
  const lines = output?.split("\n").map((line) => line.trim());
  const lastLine = lines?.findLast((line) => !NOISE_LINE.test(line));
  return lastLine ? `${sentence} Last words: ${lastLine.slice(0, 300)}` : sentence;
}
