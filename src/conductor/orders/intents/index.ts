/** Who carries out which intent of a work order, and within which time. */
import type { Intent } from "../../../domain/orders/order.ts";
import { runCommands } from "./commands.ts";
import { checkDrift } from "./drift-check.ts";
import { collectRuns } from "./gc-runs.ts";
import type { ExecuteIntent, IntentAsk, IntentOutcome } from "./intent.ts";
import { regenerateReport } from "./regenerate-report.ts";
import { designFromScience } from "./science-to-design.ts";

export type { ExecuteIntent, IntentAsk, IntentOutcome } from "./intent.ts";

export const INTENTS: Readonly<Record<Intent, ExecuteIntent>> = {
  validate: runCommands,
  test: runCommands,
  regenerate_report: regenerateReport,
  gc_runs: collectRuns,
  drift_check: checkDrift,
  science_to_design: designFromScience,
};

/** Commands are held to their time where they run; what the house does itself is left behind when its time is over. */
export async function carryOut(ask: IntentAsk): Promise<IntentOutcome> {
  const execute = INTENTS[ask.order.intent];
  if (execute === runCommands) return execute(ask);
  const seconds = ask.order.budget.max_seconds;
  const late = seconds === undefined ? undefined : AbortSignal.timeout(seconds * 1_000);
  const signal = late ? AbortSignal.any([ask.signal, late]) : ask.signal;
  const over = openAlarm(signal);
  try {
    return await Promise.race([execute({ ...ask, signal }), over.rung]);
  } catch (error) {
    if (!late?.aborted || ask.signal.aborted) throw error;
    const message = `${ask.order.intent} used up its budget: max_seconds is ${seconds}`;
    return { ok: false, exitCode: null, failure: "budget_exceeded", message };
  } finally {
    over.off();
  }
}

function openAlarm(signal: AbortSignal): { readonly rung: Promise<never>; readonly off: () => void } {
  let ring: (() => void) | undefined;
  const rung = new Promise<never>((_, reject) => {
    ring = () => reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    if (signal.aborted) ring();
    else signal.addEventListener("abort", ring, { once: true });
  });
  // Nobody may be listening when it rings late.
  rung.catch(() => undefined);
  return { rung, off: () => (ring ? signal.removeEventListener("abort", ring) : undefined) };
}
