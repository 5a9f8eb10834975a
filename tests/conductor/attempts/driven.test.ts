/** An agent type that cannot be started is refused when the task is requested. */
import { expect, test } from "vitest";
import { assertAgentSupported } from "../../../src/conductor/attempts/spawn.ts";
import { SpawnRequest } from "../../../src/domain/task/spawn.ts";

const ask = (more: object) =>
  SpawnRequest.parse({ repository: "/srv/shop.git", description: "Make a change.", ...more });

test.each(["claude_code", "codex", "gemini", "opencode"])(
  "an agent of type %s is refused with what to use instead",
  (agentType) => {
    expect(() => assertAgentSupported(ask({ agentType }))).toThrow(/not supported yet.*--agent-type command/);
  },
);

test.each([{ agentType: "stub" }, { agentType: "command", command: ["true"] }])("%j is accepted", (more) => {
  expect(() => assertAgentSupported(ask(more))).not.toThrow();
});
