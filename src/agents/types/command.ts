/** Agent type `command`: any program that the task names. The prompt arrives on its stdin; its exit code proves little. */
import type { AgentCli } from "./agent-cli.ts";
import { parseMarkers } from "./markers.ts";

export const commandCli: AgentCli = {
  argv: ({ command }) =>
    command && command.length > 0 ? command : { refused: "agent type command needs a program (--command)" },
  parseResult: parseMarkers,
};
