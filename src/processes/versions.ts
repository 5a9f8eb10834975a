/** The versions of the programs on this machine: shown by doctor and reported by hosts. */
import { readFile } from "node:fs/promises";
import { runCommand } from "../command/run.ts";
import { baseEnv } from "./env.ts";

const TIMEOUT_MS = 5_000;

/** The package's own version, from next to the built or the source tree. */
export async function ownVersion(): Promise<string> {
  for (const path of ["../../package.json", "../../../package.json"]) {
    const text = await readFile(new URL(path, import.meta.url), "utf8").catch(() => undefined);
    if (text) return String(JSON.parse(text).version);
  }
  return "unknown";
}

/** The first line of a program's version output, or undefined when the program is missing. */
export async function readVersion(argv: readonly string[]): Promise<string | undefined> {
  try {
    const { exitCode, stdout, stderr } = await runCommand(argv, {
      cwd: "/",
      env: baseEnv(),
      timeoutMs: TIMEOUT_MS,
    });
    return exitCode === 0 ? (stdout || stderr).split("\n")[0]?.trim() : undefined;
  } catch {
    return undefined;
  }
}

/** The programs that products' orders may need; drift compares their versions with what products require. Each answers within milliseconds. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  git: ["git", "--version"],
  tmux: ["tmux", "-V"],
  python: ["python3", "--version"],
  go: ["go", "version"],
  rust: ["rustc", "--version"],
};

export async function hostVersions(): Promise<Record<string, string>> {
  const names = Object.keys(PROGRAMS);
  const [fleetwright, ...found] = await Promise.all([ownVersion(), ...Object.values(PROGRAMS).map(readVersion)]);
  const programs = names.map((name, at) => [name, found[at] ?? "missing"]);
  return { fleetwright, node: process.version, ...Object.fromEntries(programs) };
}
