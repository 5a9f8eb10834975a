/** How an agent program is started and its output read; one file for each agent type that is driven. */
import type { ExitRecord } from "../../domain/monitor/facts.ts";

export interface LaunchContext {
  readonly command?: readonly string[] | undefined;
  readonly script?: string | undefined;
  readonly model?: string | null | undefined;
}

/** What an agent reported in its output. Untrusted text. */
export interface AgentResult {
  readonly finalMessage: string | null;
  readonly question: { readonly text: string; readonly choices: readonly string[] } | null;
  /** The reason, when the agent reports that nothing had to be changed. */
  readonly noChangeNeeded: string | null;
  /** Set when the provider's limit was reached; `resetsAt` when the time was announced. */
  readonly limit: { readonly resetsAt: Date | null } | null;
}

export interface AgentCli {
  /** The whole command line, or why there is none. The prompt is never part of it: it arrives on stdin. */
  argv(context: LaunchContext): readonly string[] | { readonly refused: string };
  parseResult(outputTail: string, exit: ExitRecord | null): AgentResult;
}

export const NO_RESULT: AgentResult = { finalMessage: null, question: null, noChangeNeeded: null, limit: null };

/** For programs without a format of their own: the last line that is not empty. */
export function lastLine(outputTail: string): string | null {
  return outputTail.trimEnd().split("\n").at(-1)?.trim() || null;
}
