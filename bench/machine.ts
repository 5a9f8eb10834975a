/** What it was measured on: machine, versions, and how busy it was. */
import { execFileSync } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";

/** The load comes last: it is asked for again at the end. */
export function aboutMachine(): string[] {
  const [cpu] = cpus();
  return [
    `${cpus().length} × ${cpu?.model.trim() ?? "unknown processor"}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`,
    `Node ${process.version}, ${versionOf("git", "--version")}, ${versionOf("tmux", "-V")}, ${redis()}`,
    `load ${loadavg()
      .map((load) => load.toFixed(2))
      .join(" ")}`,
  ];
}

function versionOf(program: string, option: string): string {
  try {
    return execFileSync(program, [option], { encoding: "utf8" }).trim();
  } catch {
    return `no ${program}`;
  }
}

function redis(): string {
  const version = /v=(\S+)/.exec(versionOf("redis-server", "--version"))?.[1];
  return version ? `redis ${version}` : "no redis-server";
}
