/** One PostgreSQL server process of a data directory: created, started, found, stopped. Sharing is decided elsewhere. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { chown, mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { codeOf, FleetError } from "../../domain/errors.ts";
import { type PostgresBinaries, type RunAs } from "./postgres-binaries.ts";

const execFileAsync = promisify(execFile);

/** A clean environment, because our tokens and keys must not be readable in the server's. */
const SERVER_ENV = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
const MAX_LOG_BYTES = 10_000_000;
const FAST_STOP_TIMEOUT_MS = 30_000;

/** Below the ports that the kernel assigns to outgoing connections (32768 and up), so that it is still free next time. */
const FIRST_PORT = 20_000;
const LAST_PORT = 30_000;

/** Durable (fsync and synchronous_commit stay on) and small: about 20 MB while idle. */
const SERVER_SETTINGS = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "200", // 80 % of it holds sixteen pools of ten: web, worker, queues, a few commands
  shared_buffers: "64MB",
  work_mem: "4MB",
  maintenance_work_mem: "32MB",
  max_wal_size: "512MB",
  jit: "off", // our statements are short; compiling them costs more than it saves
  io_method: "sync", // saves three worker processes that a small database does not use
  log_min_messages: "warning",
  log_checkpoints: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  cluster_name: "fleetwright",
};

export interface Cluster {
  /** Contains everything: data, password, port, log. */
  readonly dir: string;
  readonly data: string;
  readonly runAs: RunAs | undefined;
  readonly binaries: PostgresBinaries;
  /** Replaces the durable, small defaults. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Creates the cluster next to its final folder and moves it there when complete: a killed initdb leaves no partial database. */
export async function initCluster(cluster: Cluster, as: { user: string; password: string }): Promise<void> {
  const { dir, data, runAs, binaries } = cluster;
  const unfinished = join(dir, "data.unfinished");
  const passwordFile = join(dir, "password.initdb");
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await rm(passwordFile, { force: true });
  await writeFile(passwordFile, as.password, { mode: 0o600 });
  if (runAs) for (const path of [unfinished, passwordFile]) await chown(path, runAs.uid, runAs.gid);

  const options = [
    `--pgdata=${unfinished}`,
    `--username=${as.user}`,
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale-provider=builtin", // the machine's own locales may change with an upgrade, which would corrupt indexes
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
  ];
  try {
    await execFileAsync(binaries.initdb, options, { cwd: "/", env: SERVER_ENV, ...toUidGid(runAs) });
    await rename(unfinished, data);
  } catch (cause) {
    throw new FleetError(
      "database-unusable",
      `PostgreSQL's initdb failed in ${dir}: ${lastLines(String(cause))} ` +
        "Fix that (space, permissions), or set DATABASE_URL to a PostgreSQL server.",
      { dir },
      cause,
    );
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/** The server's process, if it is alive: a pid file may be stale and its pid reused by another process. */
export async function findServerPid({ data }: Cluster): Promise<number | undefined> {
  const [line] = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  const pid = Math.abs(Number(line));
  if (!pid) return undefined;
  return (await isServerProcess(data, pid)) ? pid : undefined;
}

/**
 * Starts the server as a separate process and returns its port: the preferred one, or another when that is taken.
 * `remember` receives the port before the start, so that a process that finds the server running also finds its port.
 */
export async function startServer(
  cluster: Cluster,
  preferredPort: number | undefined,
  savePort: (port: number) => Promise<void>,
): Promise<number> {
  let port = preferredPort !== undefined && (await isPortFree(preferredPort)) ? preferredPort : await findFreePort();
  const deadline = Date.now() + 15_000;
  for (;;) {
    await savePort(port);
    const failure = await tryStart(cluster, port);
    if (failure === undefined) return port;
    if (/could not bind/i.test(failure) && Date.now() < deadline) port = await findFreePort();
    // After a kill -9 its last children may still be exiting; they hold the old shared memory for a moment.
    else if (/pre-existing shared memory|already exists/i.test(failure) && Date.now() < deadline) await pause(100);
    else throw startError(cluster, failure);
  }
}

/** Closes the sessions, writes everything to disk and ends. Returns when the process has ended. */
export async function stopServer(cluster: Cluster): Promise<void> {
  const pid = await findServerPid(cluster);
  if (pid === undefined) return;
  sendSignal(pid, "SIGINT");
  const deadline = Date.now() + FAST_STOP_TIMEOUT_MS;
  let escalated = false;
  while (await isServerProcess(cluster.data, pid)) {
    if (!escalated && Date.now() > deadline) {
      escalated = true;
      sendSignal(pid, "SIGQUIT"); // it recovers at the next start; nothing that was committed is lost
    }
    await pause(10);
  }
}

/** A free port of the loopback interface. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (await isPortFree(port)) return port;
  }
}

async function tryStart(cluster: Cluster, port: number): Promise<string | undefined> {
  const { data, dir, binaries, runAs, settings = SERVER_SETTINGS } = cluster;
  await disownPidFile(cluster);
  const logFile = join(dir, "server.log");
  const size = (await stat(logFile).catch(() => undefined))?.size ?? 0;
  if (size > MAX_LOG_BYTES) await rename(logFile, `${logFile}.1`);

  const log = await open(logFile, "a", 0o600);
  try {
    const before = (await log.stat()).size;
    const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const server = spawn(binaries.postgres, ["-D", data, "-p", String(port), ...options], {
      cwd: "/",
      env: SERVER_ENV,
      detached: true, // neither Ctrl-C at our terminal nor our own end may reach it
      stdio: ["ignore", log.fd, log.fd],
      ...toUidGid(runAs),
    });
    server.unref();
    const failure = await waitUntilReady(server, data);
    if (failure === undefined) return undefined;
    return `${failure} ${lastLines((await readFile(logFile)).subarray(before).toString())}`.trim();
  } finally {
    await log.close();
  }
}

/** Undefined once it accepts connections; the reason when it ended instead. */
async function waitUntilReady(server: ChildProcess, data: string): Promise<string | undefined> {
  let exitReason: string | undefined;
  server.once("error", (error) => (exitReason = error.message));
  server.once("exit", (code, by) => (exitReason = `It ended with ${code === null ? by : `exit code ${code}`}.`));
  for (;;) {
    if (exitReason !== undefined) return exitReason;
    const lines = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
    if (Number(lines[0]) === server.pid && lines[7]?.trim() === "ready") return undefined;
    await pause(10);
  }
}

/**
 * A pid file left by a killed server may name a pid that another program has now, and PostgreSQL then refuses to
 * start. The file also guards the old shared memory, so it is not removed: our own pid is written into it, because
 * PostgreSQL ignores the pid of its parent.
 */
async function disownPidFile(cluster: Cluster): Promise<void> {
  const path = join(cluster.data, "postmaster.pid");
  const content = await readFile(path, "utf8").catch(() => undefined);
  if (content === undefined || (await findServerPid(cluster)) !== undefined) return;
  await writeFile(path, [String(process.pid), ...content.split("\n").slice(1)].join("\n"));
}

async function isServerProcess(data: string, pid: number): Promise<boolean> {
  return (await readCommandLine(pid)).includes(`-D ${data} `);
}

async function readCommandLine(pid: number): Promise<string> {
  if (process.platform === "linux") {
    return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ");
  }
  const shown = await execFileAsync("ps", ["-o", "command=", "-p", String(pid)]).catch(() => undefined);
  return shown?.stdout ?? "";
}

async function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (codeOf(error) !== "ESRCH") throw error; // it has already ended, which is the goal
  }
}

function toUidGid(runAs: RunAs | undefined): { uid?: number; gid?: number } {
  return runAs ? { uid: runAs.uid, gid: runAs.gid } : {};
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-3).join(" ");
}

function startError({ dir, data }: Cluster, failure: string): FleetError {
  const sentence =
    `PostgreSQL does not start on ${data}: ${failure} Details are in ${join(dir, "server.log")}. ` +
    "Fix the cause, or restore the folder from a backup, or set DATABASE_URL to another PostgreSQL. Nothing was deleted.";
  return new FleetError("database-unusable", sentence, { data });
}
