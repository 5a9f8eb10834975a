/** Lines by which an agent without an output format of its own reports: `FLEET-QUESTION: text`, `FLEET-NO-CHANGE: why`, … */
import { lastLine, type AgentResult } from "./agent-cli.ts";

const MARKER_LINE = /^FLEET-(DONE|QUESTION|CHOICES|NO-CHANGE|LIMIT): ?(.*)$/gm;

/** The last of each kind counts. A question is open as long as nothing was written after it (its choices apart). */
export function parseMarkers(outputTail: string): AgentResult {
  const markers = new Map<string, string>();
  for (const [, word = "", text = ""] of outputTail.matchAll(MARKER_LINE)) markers.set(word, text.trim());
  return {
    finalMessage: markers.get("DONE") ?? lastLine(outputTail),
    question: parseQuestion(markers, outputTail),
    noChangeNeeded: markers.get("NO-CHANGE") ?? null,
    limit: parseLimit(markers),
  };
}

function parseQuestion(markers: ReadonlyMap<string, string>, outputTail: string): AgentResult["question"] {
  const text = markers.get("QUESTION");
  const isOpen = /^FLEET-(?:QUESTION|CHOICES): /.test(lastLine(outputTail) ?? "");
  return text !== undefined && isOpen ? { text, choices: markers.get("CHOICES")?.split("|") ?? [] } : null;
}

function parseLimit(markers: ReadonlyMap<string, string>): AgentResult["limit"] {
  const limit = markers.get("LIMIT");
  if (limit === undefined) return null;
  const resetsAt = new Date(limit);
  return { resetsAt: Number.isNaN(resetsAt.getTime()) ? null : resetsAt };
}
