/** Records the machine of a run, so that one can understand later why it behaves differently elsewhere. */
import { arch, cpus, hostname, platform, release, totalmem } from "node:os";
import { runCommand } from "../command/run.ts";
import type { Action } from "../domain/orders/run.ts";
import { programPath } from "../git/working-copy.ts";

export interface MachineFacts {
  readonly host: string;
  readonly hostname: string;
  readonly os: { readonly platform: string; readonly release: string; readonly arch: string };
  readonly cpu: { readonly model: string; readonly count: number };
  readonly memory_bytes: number;
  readonly node: string;
  /** Versions of git and of the programs that the commands use; null when it could not be determined. */
  readonly versions: Readonly<Record<string, string | null>>;
}

/** Only the tools that a command uses are queried, because each query starts a process. */
const TOOLS: Readonly<Record<string, readonly string[]>> = {
  npm: ["npm", "--version"],
  npx: ["npm", "--version"],
  pnpm: ["pnpm", "--version"],
  yarn: ["yarn", "--version"],
  bun: ["bun", "--version"],
  deno: ["deno", "--version"],
  python: ["python", "--version"],
  python3: ["python3", "--version"],
  pytest: ["python3", "--version"],
  uv: ["uv", "--version"],
  poetry: ["poetry", "--version"],
  go: ["go", "version"],
  cargo: ["cargo", "--version"],
  rustc: ["rustc", "--version"],
  make: ["make", "--version"],
  cmake: ["cmake", "--version"],
  gcc: ["gcc", "--version"],
  mvn: ["mvn", "--version"],
  gradle: ["gradle", "--version"],
  java: ["java", "--version"],
  ruby: ["ruby", "--version"],
  bundle: ["ruby", "--version"],
  php: ["php", "--version"],
  composer: ["php", "--version"],
  dotnet: ["dotnet", "--version"],
  docker: ["docker", "--version"],
};
const VERSION_TIMEOUT_MS = 3_000;
const MAX_CHARS = 120;

/** Queries versions with the commands' own PATH, so that the same programs answer. */
export async function readMachineFacts(host: string, actions: readonly Action[]): Promise<MachineFacts> {
  const versionCommands = new Map<string, readonly string[]>([["git", ["git", "--version"]]]);
  for (const word of actions.flatMap(({ argv }) => argv.flatMap((part) => part.split(/[\s;&|()]+/)))) {
    const command = Object.hasOwn(TOOLS, word) ? TOOLS[word] : undefined;
    if (command?.[0] !== undefined) versionCommands.set(command[0], command);
  }
  const versions = await Promise.all(
    [...versionCommands].map(async ([name, argv]) => [name, await readToolVersion(argv)]),
  );
  const [cpu] = cpus();
  return {
    host,
    hostname: hostname(),
    os: { platform: platform(), release: release(), arch: arch() },
    cpu: { model: cpu?.model.trim() ?? "unknown", count: cpus().length },
    memory_bytes: totalmem(),
    node: process.version,
    versions: Object.fromEntries(versions),
  };
}

async function readToolVersion(argv: readonly string[]): Promise<string | null> {
  const env = { PATH: programPath(), HOME: "/nonexistent", LC_ALL: "C" };
  try {
    const { exitCode, stdout, stderr } = await runCommand(argv, {
      cwd: "/",
      env,
      timeoutMs: VERSION_TIMEOUT_MS,
      maxOutputBytes: 8_192,
    });
    if (exitCode !== 0) return null;
    return (stdout.trim() || stderr.trim()).split("\n")[0]?.slice(0, MAX_CHARS) ?? null;
  } catch {
    return null;
  }
}
