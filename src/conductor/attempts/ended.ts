/** An attempt that ended without a result: collecting what explains the failure, and failing or holding the task. */
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

/** The agent ended without commits in these classes: its result file may explain why. */
const NO_WORK_CLASSES = new Set(["no_evidence", "agent_error"]);

/** "No change is needed" is a valid outcome, but a person confirms it: they stop the task, or retry it. */
async function holdNoChange(fleet: Fleet, task: Task, why: string): Promise<Task | undefined> {
  if (task.condition === "needs_input") return undefined;
  const text = `The agent reports that no change is needed: ${toStorable(why, 1_000)}`;
  return applyTransition(fleet, {
    task,
    actor: fleet.worker,
    action: "task.unchanged",
    message: text,
    notify: "needs_input",
    patch: { condition: "needs_input", conditionDetail: { text, held: true } },
  });
}

/** The task's own host adds the evidence it still has; the evidence of a lost host is lost with it. */
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

/** Lines that the check runner itself writes, and empty lines. */
const NOISE_LINE = /^(?:\[[a-z]+ ended with \w+\]|\[stopped after \d+ ms\]|\$ .{1,500}   \([a-z]+\))?$/;

/** The reason as a sentence, followed by the last line of output that is not noise. */
function summarizeFailure(reason: string, output: string | undefined): string {
  const sentence = `${reason.charAt(0).toUpperCase()}${reason.slice(1).replaceAll("_", " ")}.`;
  const lines = output?.split("\n").map((line) => line.trim());
  const lastLine = lines?.findLast((line) => !NOISE_LINE.test(line));
  return lastLine ? `${sentence} Last output: ${lastLine.slice(0, 300)}` : sentence;
}
