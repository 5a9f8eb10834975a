/** Agent type `command`: any program that the task names. The prompt comes on its stdin; its exit code says little. */
import type { AgentCli } from "./agent-cli.ts";
import { parseMarkers } from "./markers.ts";

export const commandCli: AgentCli = {
  type: "command",
  binary: null,
  probe: [],
  argv: ({ command }) =>
    command && command.length > 0 ? command : { refused: "agent type command needs a program (--command)" },
  parseResult: parseMarkers,
};
