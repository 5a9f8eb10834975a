/** Describes the machine of a measurement: hardware, versions, and how busy it was. */
import { execFileSync } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";

/** The load is the last entry, because it is read again at the end. */
export function describeMachine(): string[] {
  const [cpu] = cpus();
  return [
    `${cpus().length} × ${cpu?.model.trim() ?? "unknown processor"}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`,
    `Node ${process.version}, ${programVersion("git", "--version")}, ${programVersion("tmux", "-V")}, ${redisVersion()}`,
    `load ${loadavg()
      .map((load) => load.toFixed(2))
      .join(" ")}`,
  ];
}

function programVersion(program: string, option: string): string {
  try {
    return execFileSync(program, [option], { encoding: "utf8" }).trim();
  } catch {
    return `no ${program}`;
  }
}

function redisVersion(): string {
  const version = /v=(\S+)/.exec(programVersion("redis-server", "--version"))?.[1];
  return version ? `redis ${version}` : "no redis-server";
}
