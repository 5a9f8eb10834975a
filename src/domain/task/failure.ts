/** Failures: classifies an ended attempt, and captures what the next one needs to know. Nothing here throws. */
import type { CiResult } from "./ci.ts";
import { lastHunks } from "../text/diff.ts";
import { failureSignature } from "./retry.ts";
import type { RejectedFinding } from "./review.ts";
import { FailureContext, type FailureClass } from "./task.ts";
import { toStorableJson } from "../text/untrusted.ts";

export interface Classification {
  readonly class: FailureClass;
  readonly reason: string;
}

export interface ExitEvidence {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly outOfMemory: boolean;
  /** The failure that the agent's adapter recognised in its output. */
  readonly reported?: "provider_limit" | "provider_outage" | "policy_refusal" | undefined;
}

/** Classifies an attempt that ended without a commit. Exit code 0 does not make it a success. */
export function classifyExit({ exitCode, signal, outOfMemory, reported }: ExitEvidence): Classification {
  if (reported) return { class: reported, reason: reported };
  if (outOfMemory || exitCode === 137) return { class: "agent_error", reason: "out_of_memory" };
  if (exitCode === 126 || exitCode === 127) return { class: "environment_error", reason: "program_not_runnable" };
  if (signal !== null) return { class: "agent_error", reason: `killed_by_${signal.toLowerCase()}`.slice(0, 200) };
  if (exitCode !== null && exitCode !== 0) return { class: "agent_error", reason: `exit_${exitCode}` };
  return { class: "no_evidence", reason: "no_changes" };
}

/** Returns undefined when the checks passed. If the same head passed before, its checks are flaky. */
export function classifyCi(
  result: Pick<CiResult, "status" | "steps">,
  { passedBefore }: { readonly passedBefore: boolean },
): Classification | undefined {
  if (result.status === "passing") return undefined;
  if (result.status === "error") {
    const timedOut = result.steps.some((step) => step.timedOut);
    return { class: "environment_error", reason: timedOut ? "ci_step_timeout" : "ci_environment" };
  }
  if (passedBefore) return { class: "ci_flake", reason: "ci_passed_before" };
  const red = result.steps.find((step) => step.exitCode !== 0);
  return { class: "ci_failed", reason: red ? `ci_${red.name}_failed` : "ci_failed" };
}

export function classifyReview(by: readonly string[]): Classification {
  return { class: "review_rejected", reason: `changes_requested_by ${by.join(", ")}`.slice(0, 200) };
}

export interface FailureEvidence extends Classification {
  readonly attempt: number;
  readonly summary?: string | undefined;
  readonly exitCode?: number | null | undefined;
  readonly signal?: string | null | undefined;
  readonly outOfMemory?: boolean | undefined;
  readonly diff?: string | undefined;
  readonly filesChanged?: readonly string[] | undefined;
  readonly outputTail?: string | undefined;
  readonly ciLog?: string | undefined;
  readonly findings?: readonly RejectedFinding[] | undefined;
  readonly durationMs?: number | undefined;
}

export interface CaptureOptions {
  /** Paths inside the workspace become relative to it; other absolute paths are removed. */
  readonly workspacePath: string | null;
  /** Removes secrets and terminal control sequences. It runs before any text is truncated, so that no half of a secret remains. */
  readonly clean: (text: string) => string;
}

/** Captures a failure in a form that always fits the schema. If it cannot be stored, a note replaces it, because every failure must be recorded. */
export function captureFailure(evidence: FailureEvidence, options: CaptureOptions): FailureContext {
  try {
    return FailureContext.parse(
      buildContext(evidence, (text) => stripPaths(options.clean(text), options.workspacePath)),
    );
  } catch {
    return unstorableContext(evidence);
  }
}

function buildContext(evidence: FailureEvidence, clean: (text: string) => string): FailureContext {
  const tail = (text: string | undefined, maxChars: number) => text && clean(text).slice(-maxChars);
  const context = {
    class: evidence.class,
    reason: evidence.reason.slice(0, 200),
    summary: clean(evidence.summary ?? evidence.reason).slice(0, 2_000),
    attempt: evidence.attempt,
    exitCode: evidence.exitCode,
    signal: evidence.signal?.slice(0, 20) ?? evidence.signal,
    outOfMemory: evidence.outOfMemory,
    diff: evidence.diff && lastHunks(clean(evidence.diff), 2_000),
    filesChanged: evidence.filesChanged?.slice(0, 200).map((file) => clean(file).slice(0, 500)),
    outputTail: tail(evidence.outputTail, 8_000),
    ciLog: tail(evidence.ciLog, 8_000),
    findings: evidence.findings?.slice(0, 100).map((finding) => cleanFinding(finding, clean)),
    durationMs: evidence.durationMs === undefined ? undefined : Math.max(0, Math.round(evidence.durationMs)),
  };
  const stored = FailureContext.omit({ signature: true }).parse(toStorableJson(context));
  return { ...stored, signature: failureSignature(stored) };
}

function cleanFinding(
  { reviewer, file, line, severity, message, suggestion }: RejectedFinding,
  clean: (text: string) => string,
) {
  return {
    reviewer,
    file: file && clean(file),
    line,
    severity,
    message: clean(message),
    suggestion: suggestion && clean(suggestion),
  };
}

/** Keeps only the class, which always fits the schema. */
function unstorableContext(evidence: FailureEvidence): FailureContext {
  const attempt = Number.isSafeInteger(evidence.attempt) && evidence.attempt >= 0 ? evidence.attempt : 0;
  const known = {
    class: evidence.class,
    reason: "unstorable",
    summary: "The details of this failure could not be stored.",
    attempt,
  };
  return { ...known, signature: failureSignature(known) };
}

/** Removes the machine's private paths. System folders remain, because they reveal nothing and help to understand the failure. */
function stripPaths(text: string, workspacePath: string | null): string {
  const relative = workspacePath ? text.replaceAll(`${workspacePath}/`, "").replaceAll(workspacePath, ".") : text;
  return relative.replaceAll(
    /(?<![\w.:/-])\/(?:home|root|Users|tmp|var|opt|srv|mnt|data)\/[^\s:"'()<>]+/g,
    "<path outside the workspace>",
  );
}
