/** What doctor asks about the machine: Node, the programs beside it, the agents. */
import { AGENT_CLIS, detectAgentClis } from "../../../agents/types/index.ts";
import { runCommand } from "../../../command/run.ts";
import { harmlessEnv } from "../../../processes/env.ts";
import { howToInstall } from "../../../processes/preflight.ts";
import { versionOf } from "../../../processes/versions.ts";
import type { Finding } from "./doctor.ts";

/** Of package.json: "engines". */
const OLDEST_NODE = [20, 19] as const;
const ASK_MS = 10_000;

export async function lookAtNode(): Promise<Finding> {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [needMajor, needMinor] = OLDEST_NODE;
  const said = `Node ${process.versions.node}`;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return { name: "node", state: "ok", said };
  return { name: "node", state: "wrong", said, fix: `Needs ${OLDEST_NODE.join(".")} or newer: https://nodejs.org` };
}

export async function lookAtPrograms(): Promise<Finding[]> {
  return Promise.all([needed("git", ["git", "--version"]), needed("tmux", ["tmux", "-V"]), gh(), containers()]);
}

async function needed(name: string, argv: readonly string[]): Promise<Finding> {
  const version = await versionOf(argv);
  return version
    ? { name, state: "ok", said: version }
    : { name, state: "wrong", said: "not found", fix: howToInstall([name]) };
}

async function gh(): Promise<Finding> {
  const version = await versionOf(["gh", "--version"]);
  const name = "gh";
  if (!version)
    return { name, state: "absent", said: "not found; the local forge does without", fix: "https://cli.github.com" };
  const status = await runCommand(["gh", "auth", "status"], { cwd: "/", env: harmlessEnv(), timeoutMs: ASK_MS });
  if (status.exitCode === 0) return { name, state: "ok", said: `${version}, logged in` };
  return { name, state: "absent", said: `${version}, not logged in`, fix: "gh auth login" };
}

async function containers(): Promise<Finding> {
  for (const program of ["docker", "podman"]) {
    const server = await versionOf([program, "version", "--format", "{{.Server.Version}}"]);
    if (server) return { name: "containers", state: "ok", said: `${program} ${server}` };
    if (await versionOf([program, "--version"])) {
      return {
        name: "containers",
        state: "absent",
        said: `${program} is here, its server does not answer; agents run in tmux`,
      };
    }
  }
  return { name: "containers", state: "absent", said: "no docker or podman; agents run in tmux" };
}

export async function lookAtAgents(): Promise<Finding[]> {
  const found = await detectAgentClis(harmlessEnv());
  const ours: Finding = { name: "stub, command", state: "ok", said: "come with Fleetwright" };
  return [
    ours,
    ...found.map(({ type, binary, found: there, version, problem }): Finding => {
      if (problem !== null) return { name: type, state: "absent", said: `${binary} does not work: ${problem}` };
      return there
        ? {
            name: type,
            state: "ok",
            said: `${binary} ${version ?? ""}${"refused" in AGENT_CLIS[type].argv({}) ? ", seen but not driven yet" : ""}`,
          }
        : { name: type, state: "absent", said: `${binary} not found` };
    }),
  ];
}
