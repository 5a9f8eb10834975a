/** Who carries out which intent of a work order, and within which time. */
import { withSignal } from "../../../domain/abort.ts";
import type { Intent } from "../../../domain/orders/order.ts";
import { runCommands } from "./commands.ts";
import { checkDrift } from "./drift-check.ts";
import { collectRuns } from "./gc-runs.ts";
import type { ExecuteIntent, IntentContext, IntentOutcome } from "./intent.ts";
import { regenerateReport } from "./regenerate-report.ts";
import { designFromScience } from "./science-to-design.ts";

export type { ExecuteIntent, IntentContext, IntentOutcome } from "./intent.ts";

export const INTENTS: Readonly<Record<Intent, ExecuteIntent>> = {
  validate: runCommands,
  test: runCommands,
  regenerate_report: regenerateReport,
  gc_runs: collectRuns,
  drift_check: checkDrift,
  science_to_design: designFromScience,
};

/** Commands enforce their time limit where they run; what runs in this process is abandoned when its time is over. */
export async function executeIntent(context: IntentContext): Promise<IntentOutcome> {
  const execute = INTENTS[context.order.intent];
  if (execute === runCommands) return execute(context);
  const seconds = context.order.budget.max_seconds;
  const timeout = seconds === undefined ? undefined : AbortSignal.timeout(seconds * 1_000);
  const signal = timeout ? AbortSignal.any([context.signal, timeout]) : context.signal;
  try {
    return await withSignal(signal, execute({ ...context, signal }));
  } catch (error) {
    if (!timeout?.aborted || context.signal.aborted) throw error;
    const message = `${context.order.intent} used up its budget: max_seconds is ${seconds}`;
    return { ok: false, exitCode: null, failure: "budget_exceeded", message };
  }
}
