/** fleet.yaml `roster`: agents that are always on. */
import { z } from "zod";
import { Argv, NonEmptyText, Slug } from "../product.ts";
import { AgentType } from "../task/task.ts";

/** The declaration is only compared with what runs: Fleetwright neither starts nor stops these agents. */
export const RosterAgent = z.strictObject({
  name: Slug,
  runtime: NonEmptyText.max(64).describe("the program its pane must run"),
  session: NonEmptyText.max(64).describe("the tmux session it runs in"),
  host: NonEmptyText.max(63).optional().describe("the host it must run on; the default is any host"),
  agentType: AgentType.optional(),
  command: Argv.optional(),
  socket: NonEmptyText.max(512)
    .optional()
    .describe("the socket of its tmux server; the default is the user's own server"),
});
export type RosterAgent = z.infer<typeof RosterAgent>;
