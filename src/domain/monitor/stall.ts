/** Detects a stalled agent: after a while without commit, output or CPU time it is nudged once, and after the same time again it is given up. */
import type { StoredAgentFacts } from "./facts.ts";

export type StallDecision = "none" | "nudge" | "stalled";

/** Time before `since` does not count, because the agent was waiting for a person or a provider. */
export function decideStall(
  facts: Pick<StoredAgentFacts, "progressAt" | "nudgedAt">,
  since: Date | null,
  stallMs: number,
  now: Date,
): StallDecision {
  const quietSince = Math.max(facts.progressAt.getTime(), since?.getTime() ?? 0);
  if (now.getTime() - quietSince < stallMs) return "none";
  const { nudgedAt } = facts;
  // A nudge from before the last progress belongs to an earlier stall.
  if (nudgedAt === null || nudgedAt.getTime() < quietSince) return "nudge";
  return now.getTime() - nudgedAt.getTime() < stallMs ? "none" : "stalled";
}
