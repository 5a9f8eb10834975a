/** Runs one reviewer on one head, in a throwaway checkout: the prompt is on its stdin, a JSON verdict is its output. */
import { fileURLToPath } from "node:url";
import { lastLines, runCommand, type CommandResult } from "../command/run.ts";
import { FleetError, messageOf } from "../domain/errors.ts";
import type { Redactor } from "../domain/text/redact.ts";
import { type DrivenAgentType, isDriven, type ReviewerType } from "../domain/task/agent-types.ts";
import { parseVerdict, type ReviewVerdict } from "../domain/task/review.ts";
import { buildRepairPrompt, buildReviewPrompt, type ReviewPromptInput } from "../domain/task/review-prompt.ts";
import type { Reviewer } from "../domain/settings/reviewer.ts";
import { openWorkingCopy, type WorkingCopyOptions, type WorkingCopy } from "../git/working-copy.ts";

export interface ReviewerRequest extends WorkingCopyOptions {
  readonly reviewer: Reviewer;
  readonly brief: Omit<ReviewPromptInput, "role" | "headSha">;
  readonly redactor: Redactor;
  /** Added to the clean environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export type ReviewerResult = {
  readonly durationMs: number;
  /** 2 when the first answer was not a verdict. */
  readonly answers: number;
} & (
  | { readonly state: "done"; readonly verdict: ReviewVerdict }
  /** Counts as a comment. `error` is redacted and short. */
  | { readonly state: "missing"; readonly error: string }
);

const STUB = fileURLToPath(new URL("stub-reviewer.mjs", import.meta.url));
const MINUTE_MS = 60_000;
const MAX_ERROR_CHARS = 2_000;
/** Limits an answer; a verdict is far smaller. */
const MAX_OUTPUT_BYTES = 1_024 * 1_024;

/** A reviewer that crashes, hangs or talks nonsense is `missing`; only what the asker can fix is thrown. */
export async function runReviewer(request: ReviewerRequest): Promise<ReviewerResult> {
  const argv = reviewerArgv(request.reviewer);
  const startedAt = performance.now();
  const spent = () => Math.round(performance.now() - startedAt);
  const prompt = buildReviewPrompt({ ...request.brief, role: request.reviewer.role, headSha: request.headSha });
  const missing = (answers: number, why: string): ReviewerResult => {
    const error = request.redactor.redact(why).slice(-MAX_ERROR_CHARS).toWellFormed();
    return { state: "missing", error, answers, durationMs: spent() };
  };
  try {
    await using copy = await openWorkingCopy(request, request.env);
    await makeReadOnly(copy);
    let question = prompt;
    for (let answers = 1; ; answers++) {
      const timeoutMs = request.reviewer.timeoutMinutes * MINUTE_MS - spent();
      const result = await runProgram(argv, question, { copy, timeoutMs, ask: request });
      const failure = describeExit(result);
      if (failure) return missing(answers, failure);
      const parsed = parseVerdict(result.stdout);
      if (parsed.ok) {
        return {
          state: "done",
          verdict: redactVerdict(parsed.verdict, request.redactor),
          answers,
          durationMs: spent(),
        };
      }
      if (answers > 1) return missing(answers, `No verdict could be read: ${parsed.error}`);
      question = buildRepairPrompt(prompt, parsed.error);
    }
  } catch (error) {
    return missing(1, messageOf(error));
  }
}

/** The command line of a reviewer, for each type that may review and is driven. */
const REVIEWER_ARGV: Readonly<
  Record<ReviewerType & DrivenAgentType, (reviewer: Reviewer) => readonly string[] | undefined>
> = {
  command: ({ command }) => command,
  stub: ({ script }) => [process.execPath, STUB, script ?? "default"],
};

function reviewerArgv(reviewer: Reviewer): readonly string[] {
  const { name, type } = reviewer;
  const argv = isDriven(type) ? REVIEWER_ARGV[type](reviewer) : undefined;
  if (argv) return argv;
  const message = `Reviewers of type ${type} are not supported yet; ${name} can be a command.`;
  throw new FleetError("not-supported", message, { reviewer: name, type });
}

/** Prevents accidents only: a reviewer with our rights can restore the permission, but the copy is thrown away afterwards. */
async function makeReadOnly({ path, env }: WorkingCopy): Promise<void> {
  await runCommand(["chmod", "-R", "a-w", "--", path], { cwd: "/", env, timeoutMs: MINUTE_MS });
}

async function runProgram(
  argv: readonly string[],
  input: string,
  { copy, timeoutMs, ask: request }: { copy: WorkingCopy; timeoutMs: number; ask: ReviewerRequest },
): Promise<CommandResult> {
  return runCommand(copy.wrapArgv(argv), {
    cwd: copy.path,
    env: copy.env,
    input,
    timeoutMs: Math.max(1, timeoutMs),
    maxOutputBytes: MAX_OUTPUT_BYTES,
    ...(request.signal ? { signal: request.signal } : {}),
  });
}

/** Masks field by field, because masking inside the JSON text could break it. */
function redactVerdict(verdict: ReviewVerdict, { redact }: Redactor): ReviewVerdict {
  const findings = verdict.findings.map((finding) => ({
    ...finding,
    message: redact(finding.message),
    suggestion: finding.suggestion && redact(finding.suggestion),
  }));
  return { ...verdict, summary: redact(verdict.summary), findings };
}

/** A reviewer that failed has no verdict, even if it printed one. */
function describeExit({ exitCode, signal, timedOut, aborted, stderr }: CommandResult): string | undefined {
  if (timedOut) return "It took too long and was stopped.";
  if (aborted) return "It was stopped.";
  if (exitCode === 0) return undefined;
  return `It ended with ${exitCode ?? signal}. ${lastLines(stderr)}`.trim();
}
