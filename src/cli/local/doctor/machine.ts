/** The doctor checks of the machine: Node, the programs that Fleetwright needs, the agents. */
import { detectAgentClis } from "../../../agents/types/index.ts";
import { runCommand } from "../../../command/run.ts";
import { AGENT_TYPES, namesOf } from "../../../domain/task/agent-types.ts";
import { baseEnv } from "../../../processes/env.ts";
import { installHint } from "../../../processes/preflight.ts";
import { readVersion } from "../../../processes/versions.ts";
import type { Finding } from "./check.ts";

/** The same version as "engines" in package.json. */
const OLDEST_NODE = [20, 19] as const;
const COMMAND_TIMEOUT_MS = 10_000;

export async function checkNode(): Promise<Finding> {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [needMajor, needMinor] = OLDEST_NODE;
  const said = `Node ${process.versions.node}`;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return { name: "node", state: "ok", said };
  return { name: "node", state: "wrong", said, fix: `Needs ${OLDEST_NODE.join(".")} or newer: https://nodejs.org` };
}

export async function checkPrograms(): Promise<Finding[]> {
  return Promise.all([
    checkRequired("git", ["git", "--version"]),
    checkRequired("tmux", ["tmux", "-V"]),
    checkGh(),
    checkContainers(),
  ]);
}

async function checkRequired(name: string, argv: readonly string[]): Promise<Finding> {
  const version = await readVersion(argv);
  return version
    ? { name, state: "ok", said: version }
    : { name, state: "wrong", said: "not found", fix: installHint([name]) };
}

async function checkGh(): Promise<Finding> {
  const version = await readVersion(["gh", "--version"]);
  const name = "gh";
  if (!version)
    return {
      name,
      state: "absent",
      said: "not found; the local forge does not need it",
      fix: "https://cli.github.com",
    };
  const status = await runCommand(["gh", "auth", "status"], {
    cwd: "/",
    env: baseEnv(),
    timeoutMs: COMMAND_TIMEOUT_MS,
  });
  if (status.exitCode === 0) return { name, state: "ok", said: `${version}, logged in` };
  return { name, state: "absent", said: `${version}, not logged in`, fix: "gh auth login" };
}

async function checkContainers(): Promise<Finding> {
  for (const program of ["docker", "podman"]) {
    const server = await readVersion([program, "version", "--format", "{{.Server.Version}}"]);
    if (server) return { name: "containers", state: "ok", said: `${program} ${server}` };
    if (await readVersion([program, "--version"])) {
      return {
        name: "containers",
        state: "absent",
        said: `${program} is installed, but its server does not answer; agents run in tmux`,
      };
    }
  }
  return { name: "containers", state: "absent", said: "no docker or podman; agents run in tmux" };
}

export async function checkAgents(): Promise<Finding[]> {
  const found = await detectAgentClis(baseEnv());
  const withoutProgram = namesOf(AGENT_TYPES).filter((type) => AGENT_TYPES[type].binary === null);
  const builtIn: Finding = { name: withoutProgram.join(", "), state: "ok", said: "included in Fleetwright" };
  return [
    builtIn,
    ...found.map(({ type, binary, driven, found: installed, version, problem }): Finding => {
      if (problem !== null) return { name: type, state: "absent", said: `${binary} does not work: ${problem}` };
      if (!installed) return { name: type, state: "absent", said: `${binary} not found` };
      return {
        name: type,
        state: "ok",
        said: `${binary} ${version ?? ""}${driven ? "" : ", found but not supported yet"}`,
      };
    }),
  ];
}
