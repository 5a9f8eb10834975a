/** What Fleetwright must know about an agent program; one declarative file each. */
import type { ExitRecord } from "../../domain/monitor/facts.ts";
import type { AgentType } from "../../domain/task/task.ts";

export interface LaunchContext {
  readonly command?: readonly string[] | undefined;
  readonly script?: string | undefined;
  readonly model?: string | null | undefined;
}

/** What an agent said with its output. Untrusted text. */
export interface AgentResult {
  readonly finalMessage: string | null;
  readonly question: { readonly text: string; readonly choices: readonly string[] } | null;
  /** The agent declares that nothing had to be changed, with its reason. */
  readonly noChangeNeeded: string | null;
  /** The provider's limit was reached; until when, if it was said. */
  readonly limit: { readonly resetsAt: Date | null } | null;
}

export interface AgentCli {
  readonly type: AgentType;
  /** The program that is looked for on PATH; null when the task names it, or it comes with Fleetwright. */
  readonly binary: string | null;
  /** How it is asked for its version. */
  readonly probe: readonly string[];
  readonly minVersion?: string;
  /** The whole command line, or why it cannot be had. The prompt never stands in it: it comes on stdin. */
  argv(context: LaunchContext): readonly string[] | { readonly refused: string };
  parseResult(outputTail: string, exit: ExitRecord | null): AgentResult;
}

export const NO_RESULT: AgentResult = { finalMessage: null, question: null, noChangeNeeded: null, limit: null };

/** For programs without a format of their own: the last line that says something. */
export function lastLine(outputTail: string): string | null {
  return outputTail.trimEnd().split("\n").at(-1)?.trim() || null;
}
