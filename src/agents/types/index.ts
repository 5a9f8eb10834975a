/** The agent types that are driven, and which agent programs this machine has. The types themselves: domain/task/agent-types.ts. */
import { lastLines, runCommand } from "../../command/run.ts";
import { SpawnError } from "../../domain/errors.ts";
import {
  AGENT_TYPES,
  type DrivenAgentType,
  formatChoice,
  isDriven,
  namesOf,
  namesWith,
} from "../../domain/task/agent-types.ts";
import type { AgentType } from "../../domain/task/task.ts";
import { type AgentCli, type LaunchContext, NO_RESULT } from "./agent-cli.ts";
import { commandCli } from "./command.ts";
import { stubCli } from "./stub.ts";

const AGENT_CLIS: Readonly<Record<DrivenAgentType, AgentCli>> = {
  command: commandCli,
  stub: stubCli,
};

/** Of a type that is not driven yet, one that refuses to start. */
export function agentCli(type: AgentType): AgentCli {
  if (isDriven(type)) return AGENT_CLIS[type];
  const choice = formatChoice(namesWith(AGENT_TYPES, "driven"));
  return {
    argv: () => ({ refused: `agent type ${type} is not supported yet; use ${choice}` }),
    parseResult: () => NO_RESULT,
  };
}

/** The command line of an attempt, or a SpawnError that says why there is none. */
export function agentArgv(type: AgentType, context: LaunchContext): readonly string[] {
  const argv = agentCli(type).argv(context);
  if ("refused" in argv) throw new SpawnError("PROCESS_FAILED", "process", `No agent can be started: ${argv.refused}.`);
  return argv;
}

export interface DetectedAgentCli {
  readonly type: AgentType;
  readonly binary: string;
  readonly driven: boolean;
  readonly found: boolean;
  readonly version: string | null;
  /** Why it cannot be used, when it is installed but does not answer. */
  readonly problem: string | null;
}

const PROBE_TIMEOUT_MS = 10_000;

/** Which agent programs are on PATH, and which version each reports. */
export async function detectAgentClis(env: Readonly<Record<string, string>>): Promise<readonly DetectedAgentCli[]> {
  const programs = namesOf(AGENT_TYPES).flatMap((type) => {
    const { binary, driven } = AGENT_TYPES[type];
    return binary === null ? [] : [{ type, binary, driven }];
  });
  return Promise.all(programs.map((program) => detect(program, env)));
}

async function detect(
  program: Pick<DetectedAgentCli, "type" | "binary" | "driven">,
  env: Readonly<Record<string, string>>,
): Promise<DetectedAgentCli> {
  try {
    const result = await runCommand([program.binary, "--version"], { cwd: "/", env, timeoutMs: PROBE_TIMEOUT_MS });
    const version = /\d+\.\d+[\w.-]*/.exec(result.stdout)?.[0] ?? null;
    if (result.exitCode === 0 && version !== null) return { ...program, found: true, version, problem: null };
    const problem = result.timedOut ? "it does not answer" : lastLines(result.stderr || result.stdout, 3);
    return { ...program, found: true, version: null, problem };
  } catch {
    return { ...program, found: false, version: null, problem: null };
  }
}
