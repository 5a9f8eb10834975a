/** What the prompt of the next attempt says about the previous one: what was tried, how it failed, what to avoid, what to keep. */
import type { FailureClass, FailureContext } from "./task.ts";

interface Advice {
  readonly avoid: string;
  readonly keep: string;
}

const KEEP_COMMITS = "Commits of earlier attempts are on this branch: build on them instead of starting over.";

export const ADVICE: Readonly<Record<FailureClass, Advice>> = {
  agent_error: {
    avoid: "Do not repeat the step that ended the last run before you know its cause.",
    keep: KEEP_COMMITS,
  },
  environment_error: {
    avoid: "Do not depend on the tool or service that was missing; use what the repository itself provides.",
    keep: KEEP_COMMITS,
  },
  provider_limit: { avoid: "Do not spend many model calls on reading; work in small steps.", keep: KEEP_COMMITS },
  provider_outage: { avoid: "Nothing: the model was unavailable.", keep: KEEP_COMMITS },
  policy_refusal: {
    avoid: "Do not repeat the action that was refused; find a permitted way or ask for help.",
    keep: KEEP_COMMITS,
  },
  review_rejected: {
    avoid: "Do not submit the same change again; address each finding below in the code.",
    keep: "Keep what the reviewers did not object to; change only what the findings require.",
  },
  ci_failed: {
    avoid: "Do not push before the failing check passes locally; run the commands above first.",
    keep: "Keep the change as far as its checks passed; fix the failing part.",
  },
  ci_flake: { avoid: "Do not change code only to satisfy a flaky check.", keep: KEEP_COMMITS },
  host_lost: { avoid: "Nothing: the machine was lost.", keep: KEEP_COMMITS },
  budget_exceeded: { avoid: "Do not explore widely; go straight to the requested change.", keep: KEEP_COMMITS },
  no_evidence: {
    avoid: "Do not finish without a commit unless you state that no change is needed, and why.",
    keep: "Keep what you learned about the cause, and this time implement it.",
  },
  timeout: { avoid: "Do not run long commands without a limit; commit early, then refine.", keep: KEEP_COMMITS },
  stall: { avoid: "Do not wait for input or start programs that never end; ask for help instead.", keep: KEEP_COMMITS },
};

/** Describes a failure in trusted words: only numbers, known words and file names, no free text. */
export function describeFailure(failure: FailureContext): string[] {
  const advice = ADVICE[failure.class];
  const memory = failure.outOfMemory
    ? " It ran out of memory: run fewer things at once, and read large files in parts."
    : "";
  return [
    `Attempt ${failure.attempt} failed (${failure.class}).${describeEnd(failure)}`,
    `Avoid: ${advice.avoid}${memory}`,
    `Keep: ${advice.keep}`,
  ];
}

function describeEnd(failure: FailureContext): string {
  const parts: string[] = [];
  if (typeof failure.exitCode === "number") parts.push(`exit code ${failure.exitCode}`);
  if (failure.signal) parts.push(`signal ${failure.signal.replaceAll(/[^A-Z0-9]/g, "")}`);
  if (failure.durationMs !== undefined) parts.push(`after ${Math.round(failure.durationMs / 1_000)} s`);
  return parts.length > 0 ? ` How it ended: ${parts.join(", ")}.` : "";
}

/** Returns the evidence as others wrote it, which belongs inside the fence. */
export function failureEvidence(failure: FailureContext): string {
  const parts = [`reason: ${failure.reason}`, `summary: ${failure.summary}`];
  if (failure.filesChanged?.length) parts.push(`files changed: ${failure.filesChanged.join(", ")}`);
  if (failure.ciLog) parts.push(`failing check:\n${failure.ciLog}`);
  if (failure.outputTail) parts.push(`last output:\n${failure.outputTail}`);
  if (failure.diff) parts.push(`what was tried (diff):\n${failure.diff}`);
  return parts.join("\n\n");
}
