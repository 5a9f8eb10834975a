/** Agent programs that are looked for and reported, but that Fleetwright cannot drive yet: starting one is refused. */
import type { AgentType } from "../../domain/task/task.ts";
import { NO_RESULT, type AgentCli } from "./agent-cli.ts";

export function notDriven(type: AgentType, binary: string): AgentCli {
  return {
    type,
    binary,
    probe: ["--version"],
    argv: () => ({ refused: `agent type ${type} is not supported yet; use command or stub` }),
    parseResult: () => NO_RESULT,
  };
}
