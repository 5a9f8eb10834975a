/** The tmux runtime: a separate server on a private socket, with one session per attempt. */
import { createHash } from "node:crypto";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { lastLines, runCommand, type CommandResult } from "../../command/run.ts";
import { FleetError, SpawnError } from "../../domain/errors.ts";
import { SYSTEM_PATH } from "../../git/git.ts";
import type { Pane, Runtime, StartRequest } from "./runtime.ts";

export interface TmuxOptions {
  readonly home: string;
  /** The name of a socket below the home, or an absolute path. */
  readonly socket: string;
}

/** A healthy server answers in 5–15 ms. */
const TIMEOUT_MS = 10_000;
/** The maximum length of a Unix socket's path on Linux, without the terminating NUL. */
const SOCKET_PATH_BYTES = 107;
/** A server without any session also matches: it reports that it has no current target. */
const NO_SERVER =
  /no server running|error connecting to .*\((?:No such file or directory|Connection refused)\)|server exited|lost server|no current target/;
const NO_SESSION = /can't find (?:session|window|pane)|session not found/;

/** `window-size` is set per window instead, because as a global option it crashes tmux 3.3. */
const CONFIG = `set -s exit-empty off
set -s set-clipboard off
set -s escape-time 10
set -g default-shell /bin/sh
set -g update-environment ""
set -g remain-on-exit on
set -g history-limit 5000
set -g status off
set -g set-titles off
set -g allow-rename off
set -g automatic-rename off
`;

/** The server must not inherit the worker's environment, because every pane would inherit it too. */
const ENV = { PATH: SYSTEM_PATH, HOME: "/", LANG: "C.UTF-8", TERM: "xterm-256color", SHELL: "/bin/sh" };

export function openTmux(options: TmuxOptions): Runtime {
  const socket = socketPath(options);
  const config = join(options.home, "tmux", "tmux.conf");
  let prepared: Promise<void> | undefined;

  async function tmux(...args: string[]): Promise<CommandResult> {
    prepared ??= prepare(socket, config);
    await prepared;
    const argv = ["tmux", "-u", "-S", socket, "-f", config, ...args];
    try {
      return await runCommand(argv, { cwd: "/", env: ENV, timeoutMs: TIMEOUT_MS, leavesServer: true });
    } catch (error) {
      throw new FleetError("runtime-unavailable", "tmux cannot be started: is it installed?", {}, error);
    }
  }

  async function listActive(): Promise<readonly Pane[]> {
    const format = "#{session_name}|#{@fleet_dispatch}|#{pane_dead}|#{pane_pid}";
    const result = await tmux("list-panes", "-a", "-F", format);
    if (result.exitCode === 0) return result.stdout.split("\n").filter(Boolean).map(parsePane);
    if (NO_SERVER.test(result.stderr)) return [];
    throw tmuxUnavailable("list-panes", result);
  }

  async function start(request: StartRequest): Promise<{ adopted: boolean }> {
    const session = ["new-session", "-d", "-s", request.session, "-x", "200", "-y", "50", "-c", request.cwd];
    const target = `=${request.session}:`;
    const owner = ["set-option", "-t", target, "@fleet_dispatch", request.dispatchId];
    const size = ["set-option", "-w", "-t", target, "window-size", "manual"];
    // tmux creates the session or reports a duplicate. Checking first would be another call, and still a race.
    const result = await tmux(...session, ...request.argv, ";", ...owner, ";", ...size);
    if (result.exitCode === 0) return { adopted: false };
    if (!result.stderr.includes("duplicate session")) throw tmuxUnavailable("new-session", result);
    const existing = (await listActive()).find((pane) => pane.session === request.session);
    if (existing?.dispatchId === request.dispatchId) return { adopted: true };
    throw new SpawnError("PROCESS_FAILED", "process", `The session ${request.session} belongs to another dispatch.`);
  }

  async function kill(session: string): Promise<void> {
    const result = await tmux("kill-session", "-t", `=${session}`);
    if (result.exitCode === 0 || NO_SERVER.test(result.stderr) || NO_SESSION.test(result.stderr)) return;
    throw tmuxUnavailable("kill-session", result);
  }

  async function shutDown(): Promise<void> {
    const result = await tmux("kill-server");
    if (result.exitCode !== 0 && !NO_SERVER.test(result.stderr)) throw tmuxUnavailable("kill-server", result);
  }

  return { start, kill, listActive, shutDown };
}

/** Returns a path under the home, or in a private temporary folder if the path would be too long for a socket. */
export function socketPath({ home, socket }: TmuxOptions): string {
  if (isAbsolute(socket)) return socket;
  const path = join(home, "tmux", `${socket}.sock`);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES) return path;
  const name = createHash("sha256").update(path).digest("hex").slice(0, 24);
  return join(tmpdir(), `fleetwright-${process.getuid?.() ?? 0}`, name);
}

async function prepare(socket: string, config: string): Promise<void> {
  for (const dir of [dirname(config), dirname(socket)]) await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dirname(config), 0o700);
  await writeFile(config, CONFIG, { mode: 0o600 });
}

function parsePane(line: string): Pane {
  const [session = "", dispatch = "", dead, pid] = line.split("|");
  return { session, dispatchId: dispatch || null, isDead: dead === "1", pid: Number(pid) || null };
}

function tmuxUnavailable(what: string, result: CommandResult): FleetError {
  const why = result.timedOut ? "it does not answer" : lastLines(result.stderr, 3) || `exit code ${result.exitCode}`;
  return new FleetError("runtime-unavailable", `tmux ${what}: ${why}`);
}
