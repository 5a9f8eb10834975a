/** Runs a product's own commands on a fresh copy of one commit, in a clean environment and within limits. */
import { runCommand } from "../command/run.ts";
import { excerptLog, type CiResult, type CiStep } from "../domain/task/ci.ts";
import type { Redactor } from "../domain/text/redact.ts";
import type { Product } from "../domain/product.ts";
import { openCommandLog, type CommandLog } from "../command/log-file.ts";
import { openWorkingCopy, type WorkingCopyOptions, type WorkingCopy } from "../git/working-copy.ts";
import { messageOf } from "../domain/errors.ts";

export interface ChecksRequest extends WorkingCopyOptions {
  readonly commands: Product["commands"];
  /** For each command. */
  readonly timeoutMs: number;
  readonly logPath: string;
  readonly redactor: Redactor;
  /** Added to the clean environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

const STEPS = ["setup", "validate", "test"] as const;
/** The exit codes of shells for a program that does not exist or may not be run: they say nothing about the code. */
const NOT_RUNNABLE = new Set([126, 127]);
/** Killed from outside, usually by the kernel's out-of-memory killer. */
const EXIT_KILLED = 137;

/** Stops at the first command that fails. Never throws: a failure of the environment is status `error`. */
export async function runChecks(request: ChecksRequest): Promise<CiResult> {
  const startedAt = performance.now();
  const steps: CiStep[] = [];
  const log = openCommandLog(request.logPath, request.redactor);
  const result = (status: CiResult["status"], reason: string): CiResult => ({
    status,
    headSha: request.headSha,
    reason: reason.slice(0, 500),
    steps,
    logExcerpt: status === "passing" ? "" : excerptLog(log.lastSection()),
    logPath: request.logPath,
    durationMs: Math.round(performance.now() - startedAt),
  });
  try {
    await using copy = await openWorkingCopy(request, request.env);
    for (const name of STEPS) {
      const argv = request.commands[name];
      if (!argv) continue;
      const step = await runCheckStep({ name, argv }, request, copy, log);
      steps.push(step);
      const failure = classifyStep(step, request.signal);
      if (failure) return result(failure.status, failure.reason);
    }
    return result("passing", steps.length === 0 ? "nothing to check" : "all checks pass");
  } catch (error) {
    const why = messageOf(error);
    log.write(`\n${why}\n`);
    return result("error", request.redactor.redact(why));
  } finally {
    log.close();
  }
}

async function runCheckStep(
  { name, argv }: Pick<CiStep, "name" | "argv">,
  request: ChecksRequest,
  copy: Pick<WorkingCopy, "path" | "env" | "wrapArgv">,
  log: CommandLog,
): Promise<CiStep> {
  log.section(`$ ${argv.join(" ")}   (${name})\n`);
  const { exitCode, signal, timedOut, durationMs } = await runCommand(copy.wrapArgv(argv), {
    cwd: copy.path,
    env: copy.env,
    timeoutMs: request.timeoutMs,
    maxOutputBytes: 0,
    onOutput: (chunk) => log.write(chunk),
    ...(request.signal ? { signal: request.signal } : {}),
  });
  log.write(
    timedOut ? `\n[stopped after ${request.timeoutMs} ms]\n` : `\n[${name} ended with ${exitCode ?? signal}]\n`,
  );
  return { name, argv: [...argv], exitCode, signal, durationMs, timedOut };
}

/** Undefined when it passed. */
function classifyStep(step: CiStep, signal: AbortSignal | undefined): Pick<CiResult, "status" | "reason"> | undefined {
  const { name, exitCode, timedOut } = step;
  if (timedOut) return { status: "error", reason: `${name} took too long` };
  if (signal?.aborted) return { status: "error", reason: `${name} was stopped` };
  if (exitCode === 0) return undefined;
  if (exitCode === null || exitCode === EXIT_KILLED)
    return { status: "error", reason: `${name} was killed (${step.signal ?? EXIT_KILLED})` };
  if (NOT_RUNNABLE.has(exitCode)) return { status: "error", reason: `${name} cannot be run (exit code ${exitCode})` };
  return { status: "failing", reason: `${name} failed with exit code ${exitCode}` };
}
