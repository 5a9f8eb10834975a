/** Carries out the commands of an order: on a fresh copy of one commit, within its budget, and keeps what they leave. */
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { judgeEnd, type Judged, type TransientRules } from "../domain/orders/transient-failures.ts";
import type { OrderBudget } from "../domain/orders/order.ts";
import { nameOf, type Action, type Spent, type Step, type TestTotals } from "../domain/orders/run.ts";
import { openWorkingCopy, type WorkingCopy } from "../git/working-copy.ts";
import { openBudget, type BudgetMeter, type MeteredEnd } from "./budget.ts";
import type { EvidenceFolder } from "./evidence.ts";
import { addTotals, readJunit } from "./junit.ts";

export interface ExecuteAsk {
  readonly home: string;
  readonly runId: string;
  readonly gitDir: string;
  readonly headSha: string;
  /** As whom the commands run; left out: as the worker does. */
  readonly unixUser?: string | undefined;
  readonly actions: readonly Action[];
  readonly budget: OrderBudget;
  /** Of the budget, by earlier tries. */
  readonly before: Spent;
  /** For one command. */
  readonly timeoutMs: number;
  readonly transient: TransientRules;
  /** Paths in the working copy. */
  readonly leaves: readonly string[];
  readonly evidence: EvidenceFolder;
  /** Added to the clean environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface StepEnd {
  readonly step: Step;
  readonly argv: readonly string[];
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly seconds: number;
}

export interface Executed {
  readonly steps: readonly StepEnd[];
  readonly spent: Spent;
  /** Undefined when every command went well. */
  readonly failed: (Judged & { readonly message: string }) | undefined;
  readonly tests: TestTotals | undefined;
  /** What could not be kept, and why. */
  readonly notKept: readonly string[];
}

const MOST_LEFT = 200;

/** What a working copy of this run is called; whoever sweeps copies knows by it whose they are. */
export function copyNameOf(runId: string): string {
  return `order-${runId}`;
}

/** Stops at the first command that fails. Throws only when the copy cannot be made, or the signal's reason when it is aborted. */
export async function executeActions(ask: ExecuteAsk): Promise<Executed> {
  const { evidence, signal, budget, before } = ask;
  const { log } = evidence;
  const meter = openBudget(budget, before);
  const steps: StepEnd[] = [];
  let failed: Executed["failed"];
  await using copy = await openWorkingCopy({ ...ask, runId: copyNameOf(ask.runId) }, ask.env);
  for (const action of ask.actions) {
    const end = await runStep(action, ask, { copy, meter });
    steps.push({ ...action, exitCode: end.exitCode, signal: end.signal, seconds: end.durationMs / 1_000 });
    signal.throwIfAborted();
    const judged = judgeEnd({ ...end, output: log.lastSection() }, ask.transient);
    if (!judged) continue;
    failed = { ...judged, message: sentence(action.step, end, budget) };
    break;
  }
  // Nothing may write any more to what is read now.
  await copy.quiet();
  const kept = await keepLeft(ask, copy);
  return { steps, spent: meter.spent, failed, ...kept };
}

async function runStep(
  { step, argv }: Action,
  { evidence: { log }, timeoutMs, signal }: ExecuteAsk,
  { copy, meter }: { readonly copy: WorkingCopy; readonly meter: BudgetMeter },
): Promise<MeteredEnd> {
  log.section(`$ ${argv.join(" ")}   (${step})\n`);
  const env = { ...copy.env, FLEET_EVIDENCE: copy.drop };
  const onOutput = (chunk: Buffer) => log.write(chunk);
  const end = await meter
    .run({ argv: copy.as(argv), cwd: copy.path, env, timeoutMs, signal, onOutput })
    .catch((error: unknown) => {
      // It could not be started: its name or its folder is wrong, and so it will be the next time.
      log.write(`${error instanceof Error ? error.message : String(error)}\n`);
      return { ...CANNOT_START };
    });
  log.write(
    `\n[${step} ${end.over ? `stopped: ${end.over}` : `ended with ${end.exitCode ?? end.signal ?? "nothing"}`}]\n`,
  );
  return end;
}

/** As a shell says it. */
const CANNOT_START: MeteredEnd = {
  exitCode: 127,
  signal: null,
  stdout: "",
  stderr: "",
  timedOut: false,
  aborted: false,
  truncated: false,
  durationMs: 0,
  over: undefined,
};

function sentence(
  step: Step,
  { over, timedOut, exitCode, signal, durationMs }: MeteredEnd,
  budget: OrderBudget,
): string {
  if (over) return `${step} used up its budget: ${over} is ${budget[over]}`;
  if (timedOut) return `${step} took longer than ${Math.round(durationMs / 1_000)} s`;
  if (exitCode === null) return `${step} was killed (${signal ?? "by nobody knows what"})`;
  return `${step} failed with exit ${exitCode}`;
}

/** What the product declares, and whatever lies in the drop folder; JUnit among it is read. */
async function keepLeft(
  { evidence, leaves }: ExecuteAsk,
  copy: WorkingCopy,
): Promise<Pick<Executed, "tests" | "notKept">> {
  const notKept: string[] = [];
  const totals: TestTotals[] = [];
  async function keep(root: string, path: string, name: string): Promise<void> {
    const kept = await evidence.collect(root, path, name);
    if (!kept.kept) notKept.push(`${name}: ${kept.why}`);
    const junit =
      kept.kept && kept.text !== undefined && name.endsWith(".xml") ? readJunit(name, kept.text) : undefined;
    if (junit) totals.push(junit);
  }
  for (const path of leaves) await keep(copy.path, path, nameOf(path));
  const dropped = await readdir(copy.drop, { recursive: true, withFileTypes: true });
  for (const entry of dropped.filter((one) => one.isFile()).slice(0, MOST_LEFT)) {
    const path = relative(copy.drop, join(entry.parentPath, entry.name));
    await keep(copy.drop, path, path.replaceAll("/", "-"));
  }
  return { tests: addTotals(totals), notKept };
}
