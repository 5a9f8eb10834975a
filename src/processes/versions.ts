/** What this machine runs: shown by doctor and reported by hosts. */
import { readFile } from "node:fs/promises";
import { runCommand } from "../command/run.ts";
import { harmlessEnv } from "./env.ts";

const TIMEOUT_MS = 5_000;

/** The package's own version, from beside the built or the source tree. */
export async function ownVersion(): Promise<string> {
  for (const place of ["../../package.json", "../../../package.json"]) {
    const text = await readFile(new URL(place, import.meta.url), "utf8").catch(() => undefined);
    if (text) return String(JSON.parse(text).version);
  }
  return "unknown";
}

/** The first line a program says of its version, or undefined when it is not there. */
export async function versionOf(argv: readonly string[]): Promise<string | undefined> {
  try {
    const { exitCode, stdout, stderr } = await runCommand(argv, {
      cwd: "/",
      env: harmlessEnv(),
      timeoutMs: TIMEOUT_MS,
    });
    return exitCode === 0 ? (stdout || stderr).split("\n")[0]?.trim() : undefined;
  } catch {
    return undefined;
  }
}

export async function hostVersions(): Promise<Record<string, string>> {
  const [fleetwright, git, tmux] = await Promise.all([
    ownVersion(),
    versionOf(["git", "--version"]),
    versionOf(["tmux", "-V"]),
  ]);
  return { fleetwright, node: process.version, git: git ?? "missing", tmux: tmux ?? "missing" };
}
