/** Lines by which an agent without a format of its own says what matters: `FLEET-QUESTION: text`, `FLEET-NO-CHANGE: why`, … */
import { lastLine, type AgentResult } from "./agent-cli.ts";

const SAYS = /^FLEET-(DONE|QUESTION|CHOICES|NO-CHANGE|LIMIT): ?(.*)$/gm;

/** The last of each kind counts. A question is open as long as nothing was written after it (its choices apart). */
export function readSaid(outputTail: string): AgentResult {
  const said = new Map<string, string>();
  for (const [, word = "", text = ""] of outputTail.matchAll(SAYS)) said.set(word, text.trim());
  return {
    finalMessage: said.get("DONE") ?? lastLine(outputTail),
    question: questionIn(said, outputTail),
    noChangeNeeded: said.get("NO-CHANGE") ?? null,
    limit: limitIn(said),
  };
}

function questionIn(said: ReadonlyMap<string, string>, outputTail: string): AgentResult["question"] {
  const text = said.get("QUESTION");
  const isOpen = /^FLEET-(?:QUESTION|CHOICES): /.test(lastLine(outputTail) ?? "");
  return text !== undefined && isOpen ? { text, choices: said.get("CHOICES")?.split("|") ?? [] } : null;
}

function limitIn(said: ReadonlyMap<string, string>): AgentResult["limit"] {
  const limit = said.get("LIMIT");
  if (limit === undefined) return null;
  const resetsAt = new Date(limit);
  return { resetsAt: Number.isNaN(resetsAt.getTime()) ? null : resetsAt };
}
