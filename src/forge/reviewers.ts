/** Runs one reviewer on one head: the prompt on its stdin, a throwaway checkout around it, a JSON verdict expected back. */
import { fileURLToPath } from "node:url";
import { lastLines, runCommand, type CommandResult } from "../command/run.ts";
import { FleetError, messageOf } from "../domain/errors.ts";
import type { Redactor } from "../domain/text/redact.ts";
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
  /** 2 when the first answer had to be repaired. */
  readonly answers: number;
} & (
  | { readonly state: "done"; readonly verdict: ReviewVerdict }
  /** Counts as a comment. `error` is redacted and short. */
  | { readonly state: "missing"; readonly error: string }
);

const STUB = fileURLToPath(new URL("stub-reviewer.mjs", import.meta.url));
const MINUTE_MS = 60_000;
const MAX_ERROR_CHARS = 2_000;
/** Of an answer; a verdict is far smaller. */
const MAX_OUTPUT_BYTES = 1_024 * 1_024;

/** A reviewer that crashes, hangs or talks nonsense is `missing`. Only a wrong configuration throws. */
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

function reviewerArgv(reviewer: Reviewer): readonly string[] {
  if (reviewer.type === "stub") return [process.execPath, STUB, reviewer.script ?? "default"];
  if (reviewer.type === "command" && reviewer.command) return reviewer.command;
  const message = `Reviewers of type ${reviewer.type} are not supported yet; ${reviewer.name} can be a command.`;
  throw new FleetError("not-supported", message, { reviewer: reviewer.name, type: reviewer.type });
}

/** Against accidents: a reviewer with our rights can take the permission back, but the copy is thrown away either way. */
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

/** Field by field: masking inside the JSON text could break it. */
function redactVerdict(verdict: ReviewVerdict, { redact }: Redactor): ReviewVerdict {
  const findings = verdict.findings.map((finding) => ({
    ...finding,
    message: redact(finding.message),
    suggestion: finding.suggestion && redact(finding.suggestion),
  }));
  return { ...verdict, summary: redact(verdict.summary), findings };
}

/** A reviewer that failed has no verdict, whatever it printed before. */
function describeExit({ exitCode, signal, timedOut, aborted, stderr }: CommandResult): string | undefined {
  if (timedOut) return "It took too long and was stopped.";
  if (aborted) return "It was stopped.";
  if (exitCode === 0) return undefined;
  return `It ended with ${exitCode ?? signal}. ${lastLines(stderr)}`.trim();
}
