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
    session: NonEmptyText.max(64).describe("the tmux session it runs in"),
    host: NonEmptyText.max(63).optional().describe("the host it must run on; the default is any host"),
    agentType: agentType.optional(),
    command: Argv.optional(),
    socket: NonEmptyText.max(512)
      .optional()
      .describe("the socket of its tmux server; the default is the user's own server"),
  });
  return z.array(agent).max(256).superRefine(unique("name")).default([]).describe("always-on agents");
}
export type RosterAgent = z.infer<ReturnType<typeof rosterSettings<typeof AgentType>>>[number];
