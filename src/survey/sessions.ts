/** Lists the sessions of any tmux server with one list-panes call, without starting or changing anything. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { descendants, listProcesses } from "../command/process-tree.ts";
import { runCommand } from "../command/run.ts";
import type { ObservedSession } from "../domain/drift/fleet-drift.ts";
import { SYSTEM_PATH } from "../git/git.ts";

const TIMEOUT_MS = 5_000;
const FORMAT = "#{pane_dead}|#{pane_pid}|#{pane_current_command}|#{session_name}";
/** A server that does not exist has no sessions, which is a valid answer. */
const NO_SERVER =
  /no server running|error connecting to .*\((?:No such file or directory|Connection refused)\)|no current target/;

/** `socket` is a path; an empty string is the user's default server. Undefined when it does not answer. Only the first pane of a session is read. */
export async function surveySessions(socket: string): Promise<ObservedSession[] | undefined> {
  const argv = ["tmux", "-u", ...(socket === "" ? [] : ["-S", socket]), "list-panes", "-a", "-F", FORMAT];
  const env = { PATH: SYSTEM_PATH, HOME: "/", LANG: "C.UTF-8", TERM: "xterm-256color" };
  const result = await runCommand(argv, { cwd: "/", env, timeoutMs: TIMEOUT_MS, leavesServer: true }).catch(
    () => undefined,
  );
  if (!result) return undefined;
  if (result.exitCode !== 0) return NO_SERVER.test(result.stderr) ? [] : undefined;
  const processes = listProcesses();
  const sessions = new Map<string, ObservedSession>();
  for (const line of result.stdout.split("\n").filter(Boolean)) {
    const [dead, pid = "", command = "", ...rest] = line.split("|");
    const name = rest.join("|");
    if (sessions.has(name)) continue;
    const root = Number(pid);
    const pids = root > 0 ? [root, ...descendants(root, processes).map((process) => process.pid)] : [];
    const programs = [...new Set(pids.flatMap((one) => programNames(one)))];
    sessions.set(name, { name, isDead: dead === "1", command, programs });
  }
  return [...sessions.values()];
}

/** Returns the process name, its program, and the script that an interpreter runs. */
function programNames(pid: number): string[] {
  const read = (file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, "utf8");
    } catch {
      return "";
    }
  };
  const [program = "", script = ""] = read("cmdline").split("\0");
  const names = [read("comm").trim(), basename(program), script.startsWith("-") ? "" : basename(script)];
  return names.filter((name) => name !== "");
}
