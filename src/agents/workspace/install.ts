/** Installs the dependencies of a workspace: with the product's setup command, or with the installers of its lock files. */
import { createHash } from "node:crypto";
import { appendFile, mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { lastLines, runCommand } from "../../command/run.ts";
import { asUser } from "../../command/unix-user.ts";
import { SpawnError, messageOf } from "../../domain/errors.ts";
import { installerCacheDir, userEnv } from "../users.ts";
import { readWorkspaceRecord, writeWorkspaceRecord, type WorkspaceRecord } from "./record.ts";

export interface InstallRequest {
  readonly home: string;
  readonly taskId: string;
  readonly setupCommand?: readonly string[];
  readonly timeoutMs: number;
  /** Aborting it ends the installer. */
  readonly signal?: AbortSignal | undefined;
  readonly logFile: string;
  /** The environment, with PATH and HOME at least. */
  readonly env: Readonly<Record<string, string>>;
}

export interface InstallResult {
  /** The commands that ran; empty when there was nothing to do. */
  readonly commands: readonly string[];
  readonly durationMs: number;
  readonly skipped: "nothing to install" | "installed already" | null;
}

interface Installer {
  readonly lockFile: string;
  readonly argv: readonly string[];
  /** Of several installers of one ecosystem, the first whose lock file exists is used. */
  readonly ecosystem: string;
}

const NPM = ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund"];
const INSTALLERS: readonly Installer[] = [
  { ecosystem: "js", lockFile: "pnpm-lock.yaml", argv: ["pnpm", "install", "--frozen-lockfile", "--prefer-offline"] },
  { ecosystem: "js", lockFile: "package-lock.json", argv: NPM },
  { ecosystem: "js", lockFile: "npm-shrinkwrap.json", argv: NPM },
  { ecosystem: "js", lockFile: "yarn.lock", argv: ["yarn", "install", "--frozen-lockfile"] },
  { ecosystem: "python", lockFile: "uv.lock", argv: ["uv", "sync", "--frozen"] },
  { ecosystem: "python", lockFile: "poetry.lock", argv: ["poetry", "install", "--no-interaction"] },
  { ecosystem: "rust", lockFile: "Cargo.lock", argv: ["cargo", "fetch", "--locked"] },
  { ecosystem: "go", lockFile: "go.sum", argv: ["go", "mod", "download"] },
];

export async function installDependencies(request: InstallRequest): Promise<InstallResult> {
  const startedAt = performance.now();
  const record = await readWorkspaceRecord(request.home, request.taskId);
  if (!record) throw new SpawnError("INSTALL_FAILED", "install", "There is no workspace to install into.");

  const plan = await planInstall(record.path, request.setupCommand);
  const toResult = (commands: readonly string[], skipped: InstallResult["skipped"]): InstallResult => ({
    commands,
    skipped,
    durationMs: Math.round(performance.now() - startedAt),
  });
  if (plan.commands.length === 0) return toResult([], "nothing to install");
  if (record.installed === plan.fingerprint) return toResult([], "installed already");
  for (const argv of plan.commands) await runInstaller(request, record, argv);
  await writeWorkspaceRecord(request.home, { ...record, installed: plan.fingerprint });
  return toResult(
    plan.commands.map((argv) => argv.join(" ")),
    null,
  );
}

/** Returns the commands to run, and a fingerprint of what they would install. */
async function planInstall(path: string, setup: readonly string[] | undefined) {
  const hash = createHash("sha256").update(JSON.stringify(setup ?? null));
  const commands: (readonly string[])[] = [];
  const covered = new Set<string>();
  for (const { lockFile, argv, ecosystem } of INSTALLERS) {
    const text = await readFile(join(path, lockFile)).catch(() => undefined);
    if (text === undefined) continue;
    hash.update(text);
    if (covered.has(ecosystem) || isEmptyNpmLock(lockFile, text)) continue;
    covered.add(ecosystem);
    commands.push(lockFile === "yarn.lock" ? await yarnArgv(path, argv) : argv);
  }
  return { commands: setup ? [setup] : commands, fingerprint: hash.digest("hex") };
}

/** Skips npm for a lock file without dependencies, because npm takes half a second to find that out. */
function isEmptyNpmLock(lockFile: string, text: Buffer): boolean {
  if (!lockFile.endsWith(".json")) return false;
  try {
    const lock: unknown = JSON.parse(text.toString("utf8"));
    if (typeof lock !== "object" || lock === null || !("packages" in lock)) return false;
    return (
      typeof lock.packages === "object" &&
      lock.packages !== null &&
      Object.keys(lock.packages).every((key) => key === "")
    );
  } catch {
    return false;
  }
}

/** Yarn 2 and later (recognised by .yarnrc.yml) replaced the old flag. */
async function yarnArgv(path: string, argv: readonly string[]): Promise<readonly string[]> {
  const isModern = await stat(join(path, ".yarnrc.yml")).catch(() => undefined);
  return isModern ? ["yarn", "install", "--immutable"] : argv;
}

async function runInstaller(request: InstallRequest, record: WorkspaceRecord, argv: readonly string[]): Promise<void> {
  const commandLine = argv.join(" ");
  await mkdir(dirname(request.logFile), { recursive: true, mode: 0o700 });
  const user = record.unixUser;
  const env = {
    ...request.env,
    ...userEnv(request.home, user),
    ...cacheEnv(installerCacheDir(request.home, user)),
    CI: "1",
  };
  const { timeoutMs, signal } = request;
  const options = { cwd: record.path, env, timeoutMs, ...(signal ? { signal } : {}) };
  const result = await runCommand(asUser(user, argv), options).catch((error: unknown) => {
    const why = messageOf(error);
    throw new SpawnError("INSTALL_FAILED", "install", `${commandLine}: ${why}`, error);
  });
  const output = `${result.stdout}${result.stderr}`;
  await appendFile(request.logFile, `$ ${commandLine}\n${output}\n`, { mode: 0o600 });
  if (result.exitCode === 0) return;
  const why = result.timedOut
    ? `took longer than ${Math.round(request.timeoutMs / 1_000)} s`
    : `ended with ${result.exitCode}`;
  throw new SpawnError("INSTALL_FAILED", "install", `${commandLine} ${why}:\n${lastLines(output)}`);
}

/** All workspaces share one download cache; the installers themselves support parallel use. */
function cacheEnv(cache: string): Record<string, string> {
  return {
    npm_config_cache: join(cache, "npm"),
    npm_config_store_dir: join(cache, "pnpm"),
    YARN_CACHE_FOLDER: join(cache, "yarn"),
    UV_CACHE_DIR: join(cache, "uv"),
    POETRY_CACHE_DIR: join(cache, "poetry"),
    CARGO_HOME: join(cache, "cargo"),
    GOMODCACHE: join(cache, "go"),
  };
}
