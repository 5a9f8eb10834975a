/** When is a running agent stalled? No commit, no output, no CPU for a while: nudged once, then given up. */
import type { StoredAgentFacts } from "./facts.ts";

export type StallDecision = "none" | "nudge" | "stalled";

/** `since`: time before it does not count, because the agent was waiting for somebody else. */
export function decideStall(
  facts: Pick<StoredAgentFacts, "progressAt" | "nudgedAt">,
  since: Date | null,
  stallMs: number,
  now: Date,
): StallDecision {
  const quietSince = Math.max(facts.progressAt.getTime(), since?.getTime() ?? 0);
  if (now.getTime() - quietSince < stallMs) return "none";
  const { nudgedAt } = facts;
  // A nudge before the last progress was for an earlier silence.
  if (nudgedAt === null || nudgedAt.getTime() < quietSince) return "nudge";
  return now.getTime() - nudgedAt.getTime() < stallMs ? "none" : "stalled";
}
