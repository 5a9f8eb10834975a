/** An added agent type: its row. One that Fleetwright can start also has a file in src/agents/types. */
import type { AgentTypeRow } from "../../src/domain/task/agent-types.ts";

export const parrot = {
  binary: "parrot",
  driven: false,
  mayReview: true,
  secrets: { oneOf: ["PARROT_API_KEY"], optional: [] },
} as const satisfies AgentTypeRow;
