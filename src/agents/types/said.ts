/** Lines by which an agent without a format of its own says what matters: `FLEET-QUESTION: text`, `FLEET-NO-CHANGE: why`, … */
import { lastLine, type AgentResult } from "./agent-cli.ts";

const SAYS = /^FLEET-(DONE|QUESTION|CHOICES|NO-CHANGE|LIMIT): ?(.*)$/gm;

/** The last of each kind counts. A question is open as long as nothing was written after it (its choices apart). */
export function readSaid(outputTail: string): AgentResult {
  const said = new Map<string, string>();
  for (const [, word = "", text = ""] of outputTail.matchAll(SAYS)) said.set(word, text.trim());
  const isOpen = /^FLEET-(?:QUESTION|CHOICES): /.test(lastLine(outputTail) ?? "");
  const question = isOpen ? said.get("QUESTION") : undefined;
  const limit = said.get("LIMIT");
  const resetsAt = new Date(limit ?? "");
  return {
    finalMessage: said.get("DONE") ?? lastLine(outputTail),
    question: question === undefined ? null : { text: question, choices: said.get("CHOICES")?.split("|") ?? [] },
    noChangeNeeded: said.get("NO-CHANGE") ?? null,
    limit: limit === undefined ? null : { resetsAt: Number.isNaN(resetsAt.getTime()) ? null : resetsAt },
  };
}
