/** A tmux server of the bench's own, behind its own socket; stopped at the end. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BenchWorld } from "./world.ts";

const run = promisify(execFile);
/** As many sessions as easily fit into one command line. */
const BATCH = 50;

export interface Tmux {
  /** The beginning of every tmux command. */
  readonly argv: readonly string[];
  (...args: readonly string[]): Promise<string>;
}

export async function openTmuxServer(world: BenchWorld, path?: string): Promise<Tmux> {
  const dir = await world.folder("tmux");
  const config = join(dir, "tmux.conf");
  await writeFile(config, "set -s exit-empty off\nset -g status off\nset -g default-shell /bin/sh\n");
  const socket = path ?? join(dir, "s");
  const argv = ["tmux", "-u", "-S", socket, "-f", config];
  const call = async (...args: readonly string[]) => {
    const [program = "", ...more] = [...argv, ...args];
    return (await run(program, more, { env: { PATH: process.env["PATH"] ?? "", TERM: "xterm-256color" } })).stdout;
  };
  world.defer(() => call("kill-server").catch(() => undefined));
  return Object.assign(call, { argv });
}

/** Each session holds one program that does nothing; `names` are the sessions' names. */
export async function startSessions(tmux: Tmux, names: readonly string[]): Promise<void> {
  for (let from = 0; from < names.length; from += BATCH) {
    const commands: string[] = [];
    for (const name of names.slice(from, from + BATCH)) {
      commands.push(";", "new-session", "-d", "-s", name, "exec sleep 3600");
    }
    await tmux(...commands.slice(1));
  }
}
