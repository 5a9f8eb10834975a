/** The real servers that tests run against: a PostgreSQL from `npm ci`, a redis-server from the machine. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { findBinaries, findRunAs } from "../../src/store/embedded/postgres-binaries.ts";
import { findFreePort, initCluster, startServer, stopServer } from "../../src/store/embedded/postgres-server.ts";

const run = promisify(execFile);

/** Fast instead of durable: test data may be lost with the machine. */
const FAST_SETTINGS = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "300",
  shared_buffers: "128MB",
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  wal_level: "minimal",
  max_wal_senders: "0",
  autovacuum: "off",
  jit: "off",
  timezone: "UTC",
  log_min_messages: "warning",
};

export interface TestServer {
  readonly url: string;
  stop(): Promise<void>;
}

export interface RedisServer extends TestServer {
  readonly process: ChildProcess;
  readonly port: number;
  readonly dir: string;
}

/**
 * A separate PostgreSQL in a temporary folder that is removed at the end; `more` settings go before the fast ones.
 */
export async function startPostgres(more: Readonly<Record<string, string>> = {}): Promise<TestServer> {
  const dir = await temporaryDir("fleet-pg-");
  stopWhenWeExit(dir, { pidFile: join(dir, "data", "postmaster.pid") });
  const runAs = await findRunAs(join(dir, "data"));
  const binaries = await findBinaries(dir, runAs);
  const cluster = { dir, data: join(dir, "data"), runAs, binaries, settings: { ...FAST_SETTINGS, ...more } };
  const password = randomBytes(8).toString("hex");
  const stop = async () => {
    await stopServer(cluster);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await initCluster(cluster, { user: "fleetwright", password });
    const port = await startServer(cluster, undefined, async () => {});
    return { url: `postgres://fleetwright:${password}@127.0.0.1:${port}/postgres`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A separate redis-server, configured as production must be except for the append-only file. */
export async function startRedis(options?: { port: number }): Promise<RedisServer> {
  for (let attempt = 0; ; attempt += 1) {
    const port = options?.port ?? (await findFreePort());
    const server = await tryRedis(port);
    if (server) return server;
    if (attempt === 5) throw new Error(`redis-server does not start on port ${port}.`);
  }
}

/** The programs that tests need from the machine; installed when we have the rights, otherwise named in the error. */
export async function ensurePrograms(packages: Readonly<Record<string, string>>): Promise<void> {
  const missing: string[] = [];
  for (const [program, packageName] of Object.entries(packages)) {
    const found = await run("sh", ["-c", `command -v ${program}`]).catch(() => undefined);
    if (!found) missing.push(packageName);
  }
  if (missing.length === 0) return;

  const byHand = `The tests need ${missing.join(", ")}. Install with: apt-get install ${missing.join(" ")}`;
  if (process.getuid?.() !== 0) throw new Error(byHand);
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    await run("apt-get", ["update", "-q"], { env });
    await run("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...missing], { env });
  } catch (cause) {
    throw new Error(`${byHand} (tried, and it failed: ${String(cause)})`, { cause });
  }
}

async function tryRedis(port: number): Promise<RedisServer | undefined> {
  const dir = await temporaryDir("fleet-redis-");
  const persistence = ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"];
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, ...persistence];
  const server = spawn("redis-server", options, { stdio: "ignore" });
  const ended = new Promise<"ended">((resolve) => {
    server.once("exit", () => resolve("ended"));
    server.once("error", () => resolve("ended"));
  });
  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null) server.kill("SIGKILL"); // The server has no data to save.
    await ended;
    await rm(dir, { recursive: true, force: true });
  };

  const url = `redis://127.0.0.1:${port}`;
  const outcome = await Promise.race([ended, waitForPing(url).then(() => "ready" as const)]);
  if (outcome === "ready") {
    stopWhenWeExit(dir, { pid: server.pid });
    return { url, port, dir, process: server, stop };
  }
  await stop();
  return undefined;
}

async function waitForPing(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on("error", () => {});
  const giveUp = setTimeout(() => client.disconnect(), 10_000);
  try {
    await client.ping();
  } finally {
    clearTimeout(giveUp);
    client.disconnect();
  }
}

/**
 * A test run that is killed cannot clean up, and the servers do not die with it: this small process ends them then.
 * It exits when the folder no longer exists, which is how a run that ends normally leaves it.
 */
function stopWhenWeExit(dir: string, server: { pid?: number | undefined; pidFile?: string }): void {
  const script = `
    while [ -d "$1" ] && kill -0 "$2" 2>/dev/null; do sleep 1; done
    [ -d "$1" ] || exit 0
    pid="\${3:-$(head -n 1 "$4" 2>/dev/null)}"
    [ -z "$pid" ] || kill -INT "$pid" 2>/dev/null
    sleep 2
    rm -rf "$1"`;
  const args = ["-c", script, "sh", dir, process.pid, server.pid ?? "", server.pidFile ?? ""].map(String);
  spawn("sh", args, { detached: true, stdio: "ignore", cwd: "/" }).unref();
}

async function temporaryDir(prefix: string): Promise<string> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), prefix)));
  await chmod(dir, 0o711); // PostgreSQL runs as another user when this process is root.
  return dir;
}
