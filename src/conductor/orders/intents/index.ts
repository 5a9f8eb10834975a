/** The function for each intent of a work order, and the time limit for all of them. */
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
  const alarm = rejectOnAbort(signal);
  try {
    return await Promise.race([execute({ ...context, signal }), alarm.rung]);
  } catch (error) {
    if (!timeout?.aborted || context.signal.aborted) throw error;
    const message = `${context.order.intent} used up its budget: max_seconds is ${seconds}`;
    return { ok: false, exitCode: null, failure: "budget_exceeded", message };
  } finally {
    alarm.off();
  }
}

function rejectOnAbort(signal: AbortSignal): { readonly rung: Promise<never>; readonly off: () => void } {
  let onAbort: (() => void) | undefined;
  const rung = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  // Nobody may be listening when it rings late.
  rung.catch(() => undefined);
  return { rung, off: () => (onAbort ? signal.removeEventListener("abort", onAbort) : undefined) };
}
