/** All agent types: how to start one, and which of the programs are on this machine. */
import { lastLines, runCommand } from "../../command/run.ts";
import { SpawnError } from "../../domain/errors.ts";
import type { AgentType } from "../../domain/task/task.ts";
import type { AgentCli, LaunchContext } from "./agent-cli.ts";
import { claudeCodeCli } from "./claude-code.ts";
import { codexCli } from "./codex.ts";
import { commandCli } from "./command.ts";
import { geminiCli } from "./gemini.ts";
import { opencodeCli } from "./opencode.ts";
import { stubCli } from "./stub.ts";

export const AGENT_CLIS: Readonly<Record<AgentType, AgentCli>> = {
  claude_code: claudeCodeCli,
  codex: codexCli,
  gemini: geminiCli,
  opencode: opencodeCli,
  command: commandCli,
  stub: stubCli,
};

export interface DetectedAgentCli {
  readonly type: AgentType;
  readonly binary: string;
  readonly found: boolean;
  readonly version: string | null;
  /** Why it cannot be used, when it is there and does not answer. */
  readonly problem: string | null;
}

const PROBE_TIMEOUT_MS = 10_000;

/** The command line of a run, or a SpawnError that says why there is none. */
export function agentArgv(type: AgentType, context: LaunchContext): readonly string[] {
  const argv = AGENT_CLIS[type].argv(context);
  if ("refused" in argv) throw new SpawnError("PROCESS_FAILED", "process", `No agent can be started: ${argv.refused}.`);
  return argv;
}

/** Which agent programs are on PATH, and which version each says it is. */
export async function detectAgentClis(env: Readonly<Record<string, string>>): Promise<readonly DetectedAgentCli[]> {
  const candidates = Object.values(AGENT_CLIS).flatMap(({ type, binary, probe }) =>
    binary === null ? [] : [{ type, binary, probe }],
  );
  return Promise.all(candidates.map((cli) => detect(cli, env)));
}

async function detect(
  { type, binary, probe }: { type: AgentType; binary: string; probe: readonly string[] },
  env: Readonly<Record<string, string>>,
): Promise<DetectedAgentCli> {
  const base = { type, binary };
  try {
    const result = await runCommand([binary, ...probe], { cwd: "/", env, timeoutMs: PROBE_TIMEOUT_MS });
    const version = /\d+\.\d+[\w.-]*/.exec(result.stdout)?.[0] ?? null;
    if (result.exitCode === 0 && version !== null) return { ...base, found: true, version, problem: null };
    const problem = result.timedOut ? "it does not answer" : lastLines(result.stderr || result.stdout, 3);
    return { ...base, found: true, version: null, problem };
  } catch {
    return { ...base, found: false, version: null, problem: null };
  }
}
