/** The local forge's CI: a product's own commands, run on a fresh copy of one commit, in a clean environment, within bounds. */
import { runCommand } from "../command/run.ts";
import { excerptLog, type CiResult, type CiStep } from "../domain/task/ci.ts";
import type { Redactor } from "../domain/text/redact.ts";
import type { Product } from "../domain/product.ts";
import { openLog, type Log } from "../command/log-file.ts";
import { openWorkingCopy, type CopyAsk, type WorkingCopy } from "../git/working-copy.ts";

export interface ChecksAsk extends CopyAsk {
  readonly commands: Product["commands"];
  /** For each command. */
  readonly timeoutMs: number;
  readonly logPath: string;
  readonly redactor: Redactor;
  /** Added to the clean environment, for what the product needs to know. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

const STEPS = ["setup", "validate", "test"] as const;
/** Shells answer so when there is no such program, or it may not be run: that says nothing about the code. */
const NOT_RUNNABLE = new Set([126, 127]);
/** Killed from outside, by the kernel's out-of-memory killer as a rule. */
const KILLED = 137;

/** Stops at the first command that fails. Never throws: what goes wrong around the commands is status `error`. */
export async function runChecks(ask: ChecksAsk): Promise<CiResult> {
  const startedAt = performance.now();
  const steps: CiStep[] = [];
  const log = openLog(ask.logPath, ask.redactor);
  const result = (status: CiResult["status"], reason: string): CiResult => ({
    status,
    headSha: ask.headSha,
    reason: reason.slice(0, 500),
    steps,
    logExcerpt: status === "passing" ? "" : excerptLog(log.lastSection()),
    logPath: ask.logPath,
    durationMs: Math.round(performance.now() - startedAt),
  });
  try {
    await using copy = await openWorkingCopy(ask, ask.env);
    for (const name of STEPS) {
      const argv = ask.commands[name];
      if (!argv) continue;
      const step = await runStep({ name, argv }, ask, copy, log);
      steps.push(step);
      const verdict = judge(step, ask.signal);
      if (verdict) return result(verdict.status, verdict.reason);
    }
    return result("passing", steps.length === 0 ? "nothing to check" : "all checks pass");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    log.write(`\n${why}\n`);
    return result("error", ask.redactor.redact(why));
  } finally {
    log.close();
  }
}

async function runStep(
  { name, argv }: Pick<CiStep, "name" | "argv">,
  ask: ChecksAsk,
  copy: Pick<WorkingCopy, "path" | "env" | "as">,
  log: Log,
): Promise<CiStep> {
  log.section(`$ ${argv.join(" ")}   (${name})\n`);
  const { exitCode, signal, timedOut, durationMs } = await runCommand(copy.as(argv), {
    cwd: copy.path,
    env: copy.env,
    timeoutMs: ask.timeoutMs,
    maxOutputBytes: 0,
    onOutput: (chunk) => log.write(chunk),
    ...(ask.signal ? { signal: ask.signal } : {}),
  });
  log.write(timedOut ? `\n[stopped after ${ask.timeoutMs} ms]\n` : `\n[${name} ended with ${exitCode ?? signal}]\n`);
  return { name, argv: [...argv], exitCode, signal, durationMs, timedOut };
}

/** Undefined when it passed. */
function judge(step: CiStep, signal: AbortSignal | undefined): Pick<CiResult, "status" | "reason"> | undefined {
  const { name, exitCode, timedOut } = step;
  if (timedOut) return { status: "error", reason: `${name} took too long` };
  if (signal?.aborted) return { status: "error", reason: `${name} was stopped` };
  if (exitCode === 0) return undefined;
  if (exitCode === null || exitCode === KILLED)
    return { status: "error", reason: `${name} was killed (${step.signal ?? KILLED})` };
  if (NOT_RUNNABLE.has(exitCode)) return { status: "error", reason: `${name} cannot be run (exit ${exitCode})` };
  return { status: "failing", reason: `${name} failed with exit ${exitCode}` };
}
