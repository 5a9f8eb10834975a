/** Checks of a pull request: their result, the relevant part of their log, and what to do about a head. */
import { z } from "zod";
import type { CiStatus } from "./task.ts";

export const CiStep = z.object({
  name: z.enum(["setup", "validate", "test"]),
  argv: z.array(z.string()),
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  durationMs: z.int().min(0),
  timedOut: z.boolean(),
});
export type CiStep = z.infer<typeof CiStep>;

/** `error` means that the environment failed, not the product (time-out, kill, missing program, full disk); it says nothing about the code. */
export const CiResult = z.object({
  status: z.enum(["passing", "failing", "error"]),
  headSha: z.string(),
  reason: z.string().max(500),
  steps: z.array(CiStep),
  logExcerpt: z.string().max(4_000),
  logPath: z.string().nullable(),
  durationMs: z.int().min(0),
});
export type CiResult = z.infer<typeof CiResult>;

/** What is known about the checks of one head. */
export interface CiFacts {
  /** The product has checks. */
  readonly configured: boolean;
  /** A failing check fails the task. */
  readonly required: boolean;
  /** The head that the status below belongs to; undefined when no run was ever requested. */
  readonly headSha: string | undefined;
  readonly status: CiStatus | "error";
  /** Runs of this head that ended in `error`. */
  readonly errors: number;
  /** When the current run was requested. */
  readonly since: Date | undefined;
}

export interface CiPolicy {
  readonly ciTimeoutMs: number;
  /** How often checks are repeated when the environment failed. */
  readonly ciReruns: number;
}

export type CiDecision =
  | { readonly do: "go_on"; readonly reason: string }
  | { readonly do: "start_ci"; readonly headSha: string; readonly reason: string }
  | { readonly do: "wait"; readonly reason: string }
  | { readonly do: "fail"; readonly class: "ci_failed" | "environment_error" | "timeout"; readonly reason: string };

/** Decides what the checks of this head allow. A result of another head is ignored. */
export function decideCi(headSha: string, ci: CiFacts, policy: CiPolicy, now: Date): CiDecision {
  if (!ci.configured) return { do: "go_on", reason: "no_checks_configured" };
  if (ci.headSha !== headSha) return { do: "start_ci", headSha, reason: ci.headSha ? "new_head" : "no_run_yet" };
  if (ci.status === "passing") return { do: "go_on", reason: "ci_passing" };
  if (ci.status === "none") return { do: "start_ci", headSha, reason: "no_run_yet" };
  if (ci.status === "pending") return decidePending(ci, policy, now);
  if (ci.status === "error" && ci.errors <= policy.ciReruns)
    return { do: "start_ci", headSha, reason: "ci_environment" };
  if (!ci.required) return { do: "go_on", reason: "ci_not_required" };
  return ci.status === "error"
    ? { do: "fail", class: "environment_error", reason: "ci_environment" }
    : { do: "fail", class: "ci_failed", reason: "ci_failed" };
}

function decidePending({ since }: CiFacts, { ciTimeoutMs }: CiPolicy, now: Date): CiDecision {
  const overdue = since !== undefined && now.getTime() - since.getTime() >= ciTimeoutMs;
  return overdue ? { do: "fail", class: "timeout", reason: "ci_timeout" } : { do: "wait", reason: "ci_pending" };
}

const FAILURE_PATTERN = /\b(?:error|fail(?:ed|ure|ing|s)?|not ok|exception|traceback|panic|assert\w*|fatal)\b|[✗✖✘×]/i;

/** Returns the part of a log that explains a failure, within `maxChars`: from shortly before the first sign of failure, or else the end. */
export function excerptLog(log: string, maxChars = 4_000): string {
  const text = log.replaceAll("\0", "").toWellFormed();
  if (text.length <= maxChars) return text;
  const before = Math.floor(maxChars / 4);
  const first = text.search(FAILURE_PATTERN);
  const end = text.length - (maxChars - CUT_MARKER.length);
  const start = first < 0 ? end : Math.min(Math.max(0, first - before), end);
  if (start <= 0) return `${text.slice(0, maxChars - CUT_MARKER.length)}${CUT_MARKER}`.toWellFormed();
  if (start === end) return `${CUT_MARKER}${text.slice(start)}`.toWellFormed();
  return `${CUT_MARKER}${text.slice(start, start + maxChars - 2 * CUT_MARKER.length)}${CUT_MARKER}`.toWellFormed();
}

const CUT_MARKER = "\n[… cut …]\n";
