/** Auto-heal: which failures of a command are by chance, and whether an order is tried once more. Pure. */
import { HEALABLE_INTENTS, type Intent } from "./order.ts";

/** How one command ended. */
export interface CommandOutcome {
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** It took longer than one command may. */
  readonly timedOut: boolean;
  /** Which part of the order's budget it used up. */
  readonly over: BudgetLimit | undefined;
  /** Of its output, beginning and end. */
  readonly output: string;
}

export type BudgetLimit = "max_actions" | "max_seconds" | "max_output_bytes";

export interface TransientRules {
  readonly exitCodes: readonly number[];
  readonly outputs: readonly string[];
}

export interface CommandFailure {
  /** One word. */
  readonly failure: string;
  readonly transient: boolean;
}

/** How often an order is tried again by itself. */
export const MAX_HEAL_ATTEMPTS = 1;

/** Shells say 128 + n for a command that signal n ended. */
const KILLED_CODES: ReadonlySet<number> = new Set([129, 130, 137, 143]);
/** Sent from outside; SIGSEGV and its like are the program's own doing and come again. */
const KILLING_SIGNALS: ReadonlySet<string> = new Set(["SIGKILL", "SIGTERM", "SIGHUP", "SIGINT"]);
const NOT_RUNNABLE: ReadonlySet<number> = new Set([126, 127]);
/** What a network that is away makes programs say; whole words of system calls and of the common clients. */
const NETWORK =
  /\b(?:ENOTFOUND|EAI_AGAIN|ECONNRESET|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b|could not resolve host|temporary failure in name resolution|connection (?:timed out|reset by peer)|network is unreachable|tls handshake timeout|50[234] (?:bad gateway|service unavailable|gateway time-?out)/i;

/** Undefined when it went well. */
export function classifyOutcome(end: CommandOutcome, rules: TransientRules): CommandFailure | undefined {
  const { exitCode, signal, over, output } = end;
  // What is used up stays used up: a second try would begin without it.
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

/** Whether an order that failed is tried again. `attempt` counts from 0. */
export function mayHeal(order: {
  readonly intent: Intent;
  readonly attempt: number;
  readonly transient: boolean;
}): boolean {
  return order.transient && order.attempt < MAX_HEAL_ATTEMPTS && HEALABLE_INTENTS.includes(order.intent);
}
