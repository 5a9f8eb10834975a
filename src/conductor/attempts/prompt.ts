/** The prompt of an attempt: the task, earlier failures and review findings; and the secrets that the agent is given. */
import { randomBytes } from "node:crypto";
import { buildPrompt } from "../../domain/task/prompt.ts";
import { findProduct } from "../../domain/settings/settings.ts";
import type { Task } from "../../domain/task/task.ts";
import { listAttempts } from "../../store/attempts.ts";
import { auditOperator } from "../../store/operators.ts";
import { listReviews } from "../../store/reviews.ts";
import type { Fleet } from "../fleet.ts";

/** Writes the files of this attempt: its prompt, its command and its secrets. Returns the hash of the prompt. */
export async function writePrompt(fleet: Fleet, task: Task): Promise<string> {
  const { attempts, reviews } = await fleet.store.asSystem(async (tx) => ({
    attempts: await listAttempts(tx, task.id),
    reviews: await listReviews(tx, [task.id]),
  }));
  const failures = attempts
    .filter(({ attempt }) => attempt < task.attempt)
    .flatMap(({ failureContext }) => (failureContext ? [failureContext] : []));
  const secrets = await fleet.secrets.getSecrets(task, { attempt: task.attempt, use: "work" });
  const product = findProduct(fleet.settings, task.repository);
  const prompt = buildPrompt({
    task,
    acceptance: task.metadata.acceptance,
    commands: Object.fromEntries(
      Object.entries(product?.commands ?? {}).map(([name, argv]) => [name, (argv ?? []).join(" ")]),
    ),
    failures,
    findings: reviews
      .filter(({ verdict }) => verdict === "request_changes")
      .flatMap(({ reviewer, findings }) => findings.map((finding) => toFinding(reviewer, finding))),
    nonce: randomBytes(12).toString("hex"),
    sha256: fleet.sha256,
    redact: fleet.redactor.redact,
  });
  await fleet.agents.writeAttempt({
    taskId: task.id,
    attempt: task.attempt,
    dispatchId: task.dispatchId ?? "",
    epoch: task.epoch,
    hostId: fleet.host.id,
    bootId: fleet.host.bootId,
    startedBy: fleet.worker,
    agentType: task.agentType,
    model: task.model,
    command: task.metadata.command,
    script: task.metadata.script,
    prompt: prompt.text,
    secrets: secrets.values,
  });
  if (secrets.names.length > 0) await auditSecrets(fleet, task, secrets.names);
  return prompt.contextHash;
}

/** Records the names of the variables, never their values. */
async function auditSecrets(fleet: Fleet, task: Task, names: readonly string[]): Promise<void> {
  const detail = { taskId: task.id, attempt: task.attempt, names };
  await fleet.store.asSystem((tx) =>
    auditOperator(tx, { operatorId: task.operatorId, actor: fleet.worker, action: "secret.issued", detail }),
  );
}

function toFinding(reviewer: string, finding: Readonly<Record<string, unknown>>) {
  const text = (key: string) => (typeof finding[key] === "string" ? finding[key] : null);
  return {
    reviewer,
    file: text("file"),
    line: typeof finding["line"] === "number" ? finding["line"] : null,
    severity: text("severity") ?? undefined,
    message: text("message") ?? "",
    suggestion: text("suggestion"),
  };
}
