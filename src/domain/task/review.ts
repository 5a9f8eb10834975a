/** Reviews: the format of a verdict, parsing it from a reviewer's output, and aggregating all verdicts of a round. */
import { z } from "zod";
import { parseJson } from "../text/json.ts";

export const ReviewSeverity = z.enum(["info", "low", "medium", "high", "critical"]);

/** A reviewer's text is untrusted, because it may have read hostile code: it is repaired and truncated. */
const ReviewText = (maxChars: number) =>
  z.string().transform((text) => text.replaceAll("\0", "").toWellFormed().trim().slice(0, maxChars).toWellFormed());

export const ReviewFinding = z.strictObject({
  file: ReviewText(500)
    .nullish()
    .transform((file) => file ?? null),
  line: z
    .int()
    .min(0)
    .max(10_000_000)
    .nullish()
    .transform((line) => line ?? null),
  severity: ReviewSeverity.default("medium"),
  message: ReviewText(2_000).pipe(z.string().min(1)),
  suggestion: ReviewText(4_000)
    .nullish()
    .transform((suggestion) => suggestion ?? null),
});
export type ReviewFinding = z.infer<typeof ReviewFinding>;

export const ReviewVerdict = z.strictObject({
  verdict: z.enum(["approve", "request_changes", "comment"]),
  summary: ReviewText(4_000).default(""),
  findings: z
    .array(ReviewFinding)
    .max(1_000)
    .default([])
    .transform((findings) => findings.slice(0, MAX_FINDINGS)),
});
export type ReviewVerdict = z.infer<typeof ReviewVerdict>;

export type ParsedVerdict =
  | { readonly ok: true; readonly verdict: ReviewVerdict }
  /** `error` explains the problem in words that can be sent back to the reviewer. */
  | { readonly ok: false; readonly error: string };

/** As many findings as a retry prompt, a notification and a pull request comment can contain. */
const MAX_FINDINGS = 100;
/** A verdict is small, and it is at the end of the output: only that part is read. */
const MAX_TEXT_CHARS = 64 * 1_024;
/** Bounds the search in text with many braces. */
const MAX_OBJECTS = 200;

/**
 * Finds the verdict in a reviewer's output, whether alone, in prose or in a code fence. Verdicts that disagree are refused,
 * because one of them may be quoted from the code under review.
 */
export function parseVerdict(output: string): ParsedVerdict {
  const found: ReviewVerdict[] = [];
  let error = "The answer contains no JSON object.";
  for (const candidate of findJsonObjects(output.slice(-MAX_TEXT_CHARS))) {
    const parsed = ReviewVerdict.safeParse(candidate);
    if (parsed.success) found.push(parsed.data);
    else error = z.prettifyError(parsed.error);
  }
  const verdict = found.at(-1);
  if (!verdict) return { ok: false, error: error.slice(0, 2_000) };
  if (found.some((other) => other.verdict !== verdict.verdict)) {
    return {
      ok: false,
      error: "The answer contains several verdicts that disagree. Answer with exactly one.",
    };
  }
  return { ok: true, verdict };
}

/** The state of one review. `missing`: the reviewer crashed, timed out, or gave no readable answer. */
export interface ReviewState {
  readonly reviewer: string;
  readonly state: "waiting" | "done" | "missing";
  readonly verdict: ReviewVerdict | undefined;
}

export interface ReviewRound {
  readonly reviews: readonly ReviewState[];
  readonly requiredApprovals: number;
  readonly startedAt: Date;
  readonly timeoutMs: number;
}

export type ReviewOutcome =
  | { readonly outcome: "approved"; readonly approvals: number; readonly missing: readonly string[] }
  | { readonly outcome: "rejected"; readonly by: readonly string[]; readonly findings: readonly RejectedFinding[] }
  | {
      readonly outcome: "waiting";
      readonly reason: "reviewers_running" | "not_enough_approvals";
      readonly missing: readonly string[];
    }
  | {
      readonly outcome: "timed_out";
      readonly approvals: number;
      readonly missing: readonly string[];
      readonly warning: string;
    };

export type RejectedFinding = ReviewFinding & { readonly reviewer: string };

/**
 * Decides only when all reviews are in, so that a rejection carries all findings. A missing review counts as a comment, and a
 * time-out is never an approval.
 */
export function aggregateReviews(round: ReviewRound, now: Date): ReviewOutcome {
  const { reviews, requiredApprovals } = round;
  const missing = reviews.filter(({ state }) => state === "missing").map(({ reviewer }) => reviewer);
  const waiting = reviews.filter(({ state }) => state === "waiting").map(({ reviewer }) => reviewer);
  const approvals = reviews.filter(({ verdict }) => verdict?.verdict === "approve").length;
  const objectors = reviews.filter(({ verdict }) => verdict?.verdict === "request_changes");
  const timedOut = now.getTime() - round.startedAt.getTime() >= round.timeoutMs;

  if (waiting.length > 0 && !timedOut) return { outcome: "waiting", reason: "reviewers_running", missing };
  if (objectors.length > 0) {
    return {
      outcome: "rejected",
      by: objectors.map(({ reviewer }) => reviewer),
      findings: objectors.flatMap(toRejectedFindings),
    };
  }
  if (waiting.length === 0 && approvals >= requiredApprovals) return { outcome: "approved", approvals, missing };
  if (!timedOut) return { outcome: "waiting", reason: "not_enough_approvals", missing };

  const silent = [...missing, ...waiting];
  const warning = `The review timed out with ${approvals} of ${requiredApprovals} approvals${
    silent.length > 0 ? `; no answer from ${silent.join(", ")}` : ""
  }.`;
  return { outcome: "timed_out", approvals, missing: silent, warning };
}

/** The summary of an objection without findings becomes a finding, so that every objection gives a reason. */
function toRejectedFindings({ reviewer, verdict }: ReviewState): RejectedFinding[] {
  if (!verdict) return [];
  if (verdict.findings.length > 0) return verdict.findings.map((finding) => ({ ...finding, reviewer }));
  const message = verdict.summary || "The reviewer requests changes without naming them.";
  return [{ reviewer, file: null, line: null, severity: "medium", message: message.slice(0, 2_000), suggestion: null }];
}

/** Yields every outermost JSON object in a text, in order. Braces that do not belong to JSON are skipped. */
function* findJsonObjects(text: string): Generator {
  let from = 0;
  for (let tries = 0; tries < MAX_OBJECTS; tries++) {
    const start = text.indexOf("{", from);
    if (start < 0) return;
    const end = endOfObject(text, start);
    const parsed = end === undefined ? undefined : parseJson(text.slice(start, end));
    if (parsed === undefined || end === undefined) {
      from = start + 1;
    } else {
      yield parsed;
      from = end;
    }
  }
}

/** Returns the position after the brace that closes the one at `start`, ignoring strings; undefined when there is none. */
function endOfObject(text: string, start: number): number | undefined {
  let depth = 0;
  let inString = false;
  for (let at = start; at < text.length; at++) {
    const letter = text[at];
    if (inString) {
      if (letter === "\\") at++;
      else if (letter === '"') inString = false;
    } else if (letter === '"') {
      inString = true;
    } else if (letter === "{") {
      depth++;
    } else if (letter === "}" && --depth === 0) {
      return at + 1;
    }
  }
  return undefined;
}

export const Review = z.object({
  id: z.uuid(),
  taskId: z.uuid(),
  round: z.int(),
  headSha: z.string(),
  reviewer: z.string(),
  role: z.string(),
  status: z.enum(["pending", "running", "done", "missing"]),
  verdict: z.enum(["approve", "request_changes", "comment"]).nullable(),
  summary: z.string().nullable(),
  findings: z.array(z.record(z.string(), z.unknown())),
  error: z.string().nullable(),
  startedAt: z.date().nullable(),
  endedAt: z.date().nullable(),
  createdAt: z.date(),
});
export type Review = z.infer<typeof Review>;
