/** The one way Fleetwright runs git: an environment built from scratch, no hooks, no prompts, a time limit, typed failures. */
import { fileURLToPath } from "node:url";
import { lastLines, runCommand, type CommandResult } from "../command/run.ts";
import { FleetError } from "../domain/errors.ts";

export interface GitOptions {
  /** Where git runs. Git may discover the repository from here only when it is one of ours. */
  readonly cwd?: string;
  /** Makes reading an agent's files safe: the repository is named, never discovered. */
  readonly gitDir?: string;
  readonly workTree?: string;
  readonly indexFile?: string;
  readonly input?: string;
  /** Transports this call may use, as `https:ssh:file`; none by default. */
  readonly allowProtocol?: string;
  readonly identity?: GitIdentity;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly maxOutputBytes?: number;
}

export interface GitIdentity {
  readonly name: string;
  readonly email: string;
  readonly date?: Date;
}

export const REMOTE_PROTOCOLS = "https:ssh:file";

/** Where programs are searched; the worker's own PATH may contain folders that others can write to. */
export const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin";

export const FLEETWRIGHT_IDENTITY: GitIdentity = { name: "Fleetwright", email: "fleetwright@fleetwright.invalid" };

/** Local commands take milliseconds; a fetch or push passes its own limit. */
const TIMEOUT_MS = 30_000;
const TRUSTED_CONFIG = fileURLToPath(new URL("trusted.gitconfig", import.meta.url));

/** Repeated on the command line, because a repository's own configuration overrides the global file. */
const FORCED_CONFIG = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.ext.allow=never", "gc.auto=0"];
const FORCED_CONFIG_ARGS = FORCED_CONFIG.flatMap((setting) => ["-c", setting]);

/** What git wrote to stdout; a failure is a FleetError with git's last lines. */
export async function git(args: readonly string[], options: GitOptions = {}): Promise<string> {
  const result = await tryGit(args, options);
  if (result.exitCode !== 0) throw gitFailed(args, result);
  if (result.truncated) throw new FleetError("git-failed", `git ${args[0] ?? ""} printed more than the limit.`);
  return result.stdout;
}

/** For commands whose failure is a valid result. */
export async function tryGit(args: readonly string[], options: GitOptions = {}): Promise<CommandResult> {
  const { input, signal, maxOutputBytes } = options;
  try {
    return await runCommand(["git", ...FORCED_CONFIG_ARGS, ...args], {
      cwd: options.cwd ?? options.gitDir ?? "/",
      env: gitEnv(options),
      timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
      ...(input === undefined ? {} : { input }),
      ...(signal === undefined ? {} : { signal }),
      ...(maxOutputBytes === undefined ? {} : { maxOutputBytes }),
    });
  } catch (error) {
    throw new FleetError("git-failed", error instanceof Error ? error.message : "git cannot be started.", {}, error);
  }
}

export function gitFailed(args: readonly string[], result: CommandResult): FleetError {
  const why = result.timedOut
    ? `took longer than ${Math.round(result.durationMs / 1_000)} s`
    : lastLines(result.stderr, 5) || `ended with ${result.exitCode ?? result.signal ?? "no exit code"}`;
  return new FleetError("git-failed", `git ${args[0] ?? ""}: ${why}`, { exitCode: result.exitCode });
}

function gitEnv(options: GitOptions): Record<string, string> {
  const env: Record<string, string> = {
    PATH: SYSTEM_PATH,
    HOME: "/nonexistent",
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: TRUSTED_CONFIG,
    GIT_TERMINAL_PROMPT: "0",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_ALLOW_PROTOCOL: options.allowProtocol ?? "none",
    GIT_SSH_COMMAND: "ssh -oBatchMode=yes",
  };
  if (options.gitDir !== undefined) env["GIT_DIR"] = options.gitDir;
  if (options.workTree !== undefined) env["GIT_WORK_TREE"] = options.workTree;
  if (options.indexFile !== undefined) env["GIT_INDEX_FILE"] = options.indexFile;
  return { ...env, ...identityEnv(options.identity) };
}

function identityEnv(identity: GitIdentity | undefined): Record<string, string> {
  if (!identity) return {};
  const date = identity.date === undefined ? {} : { date: identity.date.toISOString() };
  const env: Record<string, string> = {};
  for (const role of ["AUTHOR", "COMMITTER"]) {
    env[`GIT_${role}_NAME`] = identity.name;
    env[`GIT_${role}_EMAIL`] = identity.email;
    if (date.date !== undefined) env[`GIT_${role}_DATE`] = date.date;
  }
  return env;
}

/** A full object name: SHA-1 or SHA-256. */
export const OBJECT_NAME = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;

export async function isAncestor(gitDir: string, older: string, newer: string): Promise<boolean> {
  return (await tryGit(["merge-base", "--is-ancestor", older, newer], { gitDir })).exitCode === 0;
}
