/** Auto-heal: decides which failures of a command are transient, and whether an order is retried. */
import { HEALABLE_INTENTS, type Intent } from "./order.ts";

/** How one command ended. */
export interface CommandOutcome {
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** It took longer than a single command may. */
  readonly timedOut: boolean;
  /** The part of the order's budget that it used up, if any. */
  readonly over: BudgetLimit | undefined;
  /** The beginning and the end of its output. */
  readonly output: string;
}

export type BudgetLimit = "max_actions" | "max_seconds" | "max_output_bytes";

export interface TransientRules {
  readonly exitCodes: readonly number[];
  readonly outputs: readonly string[];
}

export interface CommandFailure {
  /** The kind of failure, as one word. */
  readonly failure: string;
  readonly transient: boolean;
}

/** How often an order is retried automatically. */
export const MAX_HEAL_ATTEMPTS = 1;

/** Shells exit with 128 + n when signal n ended the command. */
const KILLED_CODES: ReadonlySet<number> = new Set([129, 130, 137, 143]);
/** Signals that are sent from outside. SIGSEGV and the like come from the program itself and would recur. */
const KILLING_SIGNALS: ReadonlySet<string> = new Set(["SIGKILL", "SIGTERM", "SIGHUP", "SIGINT"]);
const NOT_RUNNABLE: ReadonlySet<number> = new Set([126, 127]);
/** Messages of system calls and common clients that indicate a network failure. */
const NETWORK =
  /\b(?:ENOTFOUND|EAI_AGAIN|ECONNRESET|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b|could not resolve host|temporary failure in name resolution|connection (?:timed out|reset by peer)|network is unreachable|tls handshake timeout|50[234] (?:bad gateway|service unavailable|gateway time-?out)/i;

/** Returns undefined when the command succeeded. */
export function classifyOutcome(end: CommandOutcome, rules: TransientRules): CommandFailure | undefined {
  const { exitCode, signal, over, output } = end;
  // A second try would start with the budget already used up.
  if (over) return { failure: "budget_exceeded", transient: false };
  if (end.timedOut) return { failure: "time_out", transient: true };
  if (exitCode === 0) return undefined;
  if (exitCode === null) {
    const killed = signal === null || KILLING_SIGNALS.has(signal);
    return { failure: killed ? "killed" : `signal_${signal.toLowerCase()}`, transient: killed };
  }
  if (rules.exitCodes.includes(exitCode)) return { failure: `exit_${exitCode}`, transient: true };
  if (KILLED_CODES.has(exitCode)) return { failure: "killed", transient: true };
  if (NOT_RUNNABLE.has(exitCode)) return { failure: "not_runnable", transient: false };
  if (rules.outputs.some((text) => output.includes(text))) return { failure: `exit_${exitCode}`, transient: true };
  if (NETWORK.test(output)) return { failure: "network", transient: true };
  return { failure: `exit_${exitCode}`, transient: false };
}

/** Tells whether a failed order is retried. `attempt` counts from 0. */
export function mayHeal(order: {
  readonly intent: Intent;
  readonly attempt: number;
  readonly transient: boolean;
}): boolean {
  return order.transient && order.attempt < MAX_HEAL_ATTEMPTS && HEALABLE_INTENTS.includes(order.intent);
}
