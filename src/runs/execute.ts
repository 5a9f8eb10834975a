/** Executes the commands of an order on a fresh copy of one commit and within its budget, and collects the files they leave. */
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { EMPTY_RESULT } from "../command/run.ts";
import { classifyOutcome, type CommandFailure, type TransientRules } from "../domain/orders/transient-failures.ts";
import type { OrderBudget } from "../domain/orders/order.ts";
import { evidenceName, type Action, type RunSpend, type Step, type TestTotals } from "../domain/orders/run.ts";
import { openWorkingCopy, type WorkingCopy } from "../git/working-copy.ts";
import { openBudgetMeter, type BudgetMeter, type MeteredResult } from "./budget.ts";
import type { EvidenceFolder } from "./evidence.ts";
import { addTotals, readJunit } from "./junit.ts";
import { messageOf } from "../domain/errors.ts";

export interface ExecuteRequest {
  readonly home: string;
  readonly runId: string;
  readonly gitDir: string;
  readonly headSha: string;
  /** The Unix user the commands run as; absent when they run as the worker's user. */
  readonly unixUser?: string | undefined;
  readonly actions: readonly Action[];
  readonly budget: OrderBudget;
  /** The part of the budget that earlier attempts used. */
  readonly spentBefore: RunSpend;
  /** The time limit of each command. */
  readonly timeoutMs: number;
  readonly transient: TransientRules;
  /** The paths in the working copy to collect. */
  readonly artifactPaths: readonly string[];
  readonly evidence: EvidenceFolder;
  /** Added to the clean environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface StepResult {
  readonly step: Step;
  readonly argv: readonly string[];
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly seconds: number;
}

export interface ExecutionResult {
  readonly steps: readonly StepResult[];
  readonly spent: RunSpend;
  /** The first failure; undefined when every command succeeded. */
  readonly failed: (CommandFailure & { readonly message: string }) | undefined;
  readonly tests: TestTotals | undefined;
  /** The files that could not be stored, and why. */
  readonly notKept: readonly string[];
}

const MAX_DROPPED_FILES = 200;

/** The name of this run's working copy; the sweep recognizes leftovers by it. */
export function workingCopyName(runId: string): string {
  return `order-${runId}`;
}

/** Stops at the first command that fails. It throws only when the copy cannot be created, or the signal's reason when it is aborted. */
export async function executeActions(request: ExecuteRequest): Promise<ExecutionResult> {
  const { evidence, signal, budget, spentBefore } = request;
  const { log } = evidence;
  const meter = openBudgetMeter(budget, spentBefore);
  const steps: StepResult[] = [];
  let failed: ExecutionResult["failed"];
  await using copy = await openWorkingCopy({ ...request, runId: workingCopyName(request.runId) }, request.env);
  for (const action of request.actions) {
    const result = await runStep(action, request, { copy, meter });
    steps.push({ ...action, exitCode: result.exitCode, signal: result.signal, seconds: result.durationMs / 1_000 });
    signal.throwIfAborted();
    const failure = classifyOutcome({ ...result, output: log.lastSection() }, request.transient);
    if (!failure) continue;
    failed = { ...failure, message: describeStepFailure(action.step, result, budget) };
    break;
  }
  // No process may change the files while they are collected.
  await copy.killProcesses();
  const artifacts = await collectArtifacts(request, copy);
  return { steps, spent: meter.spent, failed, ...artifacts };
}

async function runStep(
  { step, argv }: Action,
  { evidence: { log }, timeoutMs, signal }: ExecuteRequest,
  { copy, meter }: { readonly copy: WorkingCopy; readonly meter: BudgetMeter },
): Promise<MeteredResult> {
  log.section(`$ ${argv.join(" ")}   (${step})\n`);
  const env = { ...copy.env, FLEET_EVIDENCE: copy.dropDir };
  const onOutput = (chunk: Buffer) => log.write(chunk);
  const result = await meter
    .run({ argv: copy.wrapArgv(argv), cwd: copy.path, env, timeoutMs, signal, onOutput })
    .catch((error: unknown) => {
      // The command could not be started: its name or folder is wrong, so another try would fail as well.
      log.write(`${messageOf(error)}\n`);
      return { ...CANNOT_START };
    });
  log.write(
    `\n[${step} ${result.over ? `stopped: ${result.over}` : `ended with ${result.exitCode ?? result.signal ?? "nothing"}`}]\n`,
  );
  return result;
}

/** The command line as a shell would show it. */
const CANNOT_START: MeteredResult = { ...EMPTY_RESULT, exitCode: 127, over: undefined };

function describeStepFailure(
  step: Step,
  { over, timedOut, exitCode, signal, durationMs }: MeteredResult,
  budget: OrderBudget,
): string {
  if (over) return `${step} used up its budget: ${over} is ${budget[over]}`;
  if (timedOut) return `${step} took longer than ${Math.round(durationMs / 1_000)} s`;
  if (exitCode === null) return `${step} was killed (${signal ?? "unknown signal"})`;
  return `${step} failed with exit code ${exitCode}`;
}

/** Collects the files that the product declares and everything in the drop folder, and parses JUnit files among them. */
async function collectArtifacts(
  { evidence, artifactPaths }: ExecuteRequest,
  copy: WorkingCopy,
): Promise<Pick<ExecutionResult, "tests" | "notKept">> {
  const notKept: string[] = [];
  const totals: TestTotals[] = [];
  async function collectOne(root: string, path: string, name: string): Promise<void> {
    const collected = await evidence.collect(root, path, name);
    if (!collected.saved) notKept.push(`${name}: ${collected.why}`);
    const junit =
      collected.saved && collected.text !== undefined && name.endsWith(".xml")
        ? readJunit(name, collected.text)
        : undefined;
    if (junit) totals.push(junit);
  }
  for (const path of artifactPaths) await collectOne(copy.path, path, evidenceName(path));
  const dropped = await readdir(copy.dropDir, { recursive: true, withFileTypes: true });
  for (const entry of dropped.filter((one) => one.isFile()).slice(0, MAX_DROPPED_FILES)) {
    const path = relative(copy.dropDir, join(entry.parentPath, entry.name));
    await collectOne(copy.dropDir, path, path.replaceAll("/", "-"));
  }
  return { tests: addTotals(totals), notKept };
}
