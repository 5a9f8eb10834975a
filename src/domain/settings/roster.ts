/** fleet.yaml `roster`: agents that are always on. */
import { z } from "zod";
import { Argv, NonEmptyText, Slug } from "../product.ts";
import type { AgentType } from "../task/task.ts";
import { unique } from "./schemas.ts";

/** Declared here, compared with what runs; started and stopped elsewhere. */
export function rosterSettings<Type extends z.ZodType<string>>(agentType: Type) {
  const agent = z.strictObject({
    name: Slug,
    runtime: NonEmptyText.max(64).describe("the program its pane must run"),
    session: NonEmptyText.max(64).describe("the tmux session it lives in"),
    host: NonEmptyText.max(63).optional().describe("only there; any host when left out"),
    agentType: agentType.optional(),
    command: Argv.optional(),
    socket: NonEmptyText.max(512).optional().describe("of its tmux server; the user's own when left out"),
  });
  return z.array(agent).max(256).superRefine(unique("name")).default([]).describe("always-on agents");
}
export type RosterAgent = z.infer<ReturnType<typeof rosterSettings<typeof AgentType>>>[number];
