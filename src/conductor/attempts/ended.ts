/** An attempt that ended without delivering: what can still be learnt of it, and what becomes of the task. */
import type { Decision } from "../../domain/monitor/decision.ts";
import { classifyCi } from "../../domain/task/failure.ts";
import type { Task } from "../../domain/task/task.ts";
import { toStorable } from "../../domain/text/untrusted.ts";
import { failTask, type Evidence } from "../tasks/fail.ts";
import type { Known } from "../tasks/facts.ts";
import type { Fleet } from "../fleet.ts";
import { masksOf } from "../redactor.ts";
import { moveTask } from "../tasks/transition.ts";

type Fail = Extract<Decision, { do: "fail" }>;

export function isMine(fleet: Fleet, task: Task): boolean {
  return task.host === fleet.host.id;
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
export async function failEnded(fleet: Fleet, task: Task, known: Known, decision: Fail): Promise<Task | undefined> {
  const hostAlive = (known.facts.host?.leaseUntil.getTime() ?? 0) > fleet.clock().getTime();
  const isLive = task.status === "spawning" || task.status === "running";
  if (isLive && hostAlive && !isMine(fleet, task)) return undefined;
  if (isMine(fleet, task) && WITHOUT_WORK.has(decision.class)) {
    const said = await fleet.agents.readResult({ taskId: task.id, attempt: task.attempt });
    if (said.noChangeNeeded !== null) return holdUnchanged(fleet, task, said.noChangeNeeded);
    if (said.limit) return failTask(fleet, task, limitReached(said.limit.resetsAt, decision));
  }
  return failTask(fleet, task, await evidenceOf(fleet, task, known, decision));
}

function limitReached(resetsAt: Date | null, { evidence }: Fail): Evidence {
  const reason = `provider_limit${resetsAt ? `_until_${resetsAt.toISOString()}` : ""}`;
  return { class: "provider_limit", reason, detail: { evidence } };
}

async function evidenceOf(fleet: Fleet, task: Task, known: Known, decision: Fail): Promise<Evidence> {
  const run = { taskId: task.id, attempt: task.attempt };
  const collected = isMine(fleet, task) ? await fleet.agents.collectFailure(run) : undefined;
  const checks = decision.class === "ci_failed" ? known.ciRuns.at(-1) : undefined;
  const ci = checks && classifyCi({ status: "failing", steps: checks.steps }, false);
  const why = ci ?? { class: decision.class, reason: decision.reason };
  return {
    ...collected,
    ...why,
    // Masked before a line is taken out of it: alone, a line of a private key looks like nothing.
    summary: summaryOf(why.reason, masksOf(fleet).redact(checks?.logExcerpt ?? collected?.outputTail ?? "")),
    ciLog: checks?.logExcerpt ?? undefined,
    durationMs: task.spawnedAt ? fleet.clock().getTime() - task.spawnedAt.getTime() : undefined,
    detail: { evidence: decision.evidence },
  };
}

/** What the log of checks says itself, and what says nothing. */
const OWN_LINE = /^(?:\[[a-z]+ ended with \w+\]|\[stopped after \d+ ms\]|\$ .{1,500}   \([a-z]+\))?$/;

/** The reason as a sentence, with the last line that says something. */
function summaryOf(reason: string, output: string | undefined): string {
  const sentence = `${reason.charAt(0).toUpperCase()}${reason.slice(1).replaceAll("_", " ")}.`;
  const lines = output?.split("\n").map((line) => line.trim());
  const words = lines?.findLast((line) => !OWN_LINE.test(line));
  return words ? `${sentence} Last words: ${words.slice(0, 300)}` : sentence;
}
