/** Fleets and programs of the bench: one in this process, and the real program as users start it. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { readConfig, type Config } from "../src/environment.ts";
import type { Operator } from "../src/domain/operator.ts";
import { parseSettings } from "../src/domain/settings/settings.ts";
import { issueToken } from "../src/http/auth/tokens.ts";
import { openLog } from "../src/log.ts";
import { openFleet, type OpenFleet } from "../src/processes/fleet.ts";
import { loadSigningKeys } from "../src/processes/auth/keys.ts";
import { findFreePort } from "../src/store/embedded/postgres-server.ts";
import { HOST, OPERATOR } from "./seed.ts";
import type { Database, BenchWorld } from "./world.ts";

/** The program as `npm run build` leaves it. */
export const PROGRAM = join(import.meta.dirname, "..", "src", "cli", "bin.js");

export interface Stack {
  readonly open: OpenFleet;
  readonly config: Config;
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface StackOptions {
  readonly slots?: number;
  /** Variables for the programs that are started. */
  readonly env?: Readonly<Record<string, string>>;
  /** Operators may have any number of agents here. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export async function openStack(world: BenchWorld, database: Database, options: StackOptions = {}): Promise<Stack> {
  const home = await world.folder("home");
  const env = {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    HOME: home,
    DATABASE_URL: database.url,
    REDIS_URL: world.redisUrl,
    FLEET_HOME: home,
    FLEET_HOST_ID: HOST,
    FLEET_SLOTS: String(options.slots ?? 0),
    FLEET_QUEUE_PREFIX: `b${randomUUID().slice(-8)}`,
    FLEET_LOG_LEVEL: "error",
    PORT: String(await findFreePort()),
    ...options.env,
  };
  const config = readConfig(env, { homeDir: home, hostName: HOST });
  const settings = parseSettings({ tiers: { sovereign: 10_000 }, ...options.settings });
  if (!settings.ok) throw new Error(JSON.stringify(settings.problems));
  const open = await openFleet({
    config,
    log: await openLog({ level: "silent" }),
    write: () => undefined,
    statementTimeoutMs: 30_000,
    settings: settings.settings,
  });
  world.defer(() => open.close());
  return { open, config, home, env };
}

/** What a command needs to call the API of this stack. */
export async function credentialsFor(stack: Stack): Promise<Record<string, string>> {
  const [token = ""] = await tokensFor(stack, [OPERATOR]);
  return { FLEET_URL: `http://127.0.0.1:${stack.config.PORT}`, FLEET_TOKEN: token };
}

/** One token for each operator, valid for an hour. */
export async function tokensFor({ open, config }: Stack, operators: readonly Operator[]): Promise<string[]> {
  const keys = await loadSigningKeys(open.store, config);
  const options = { kind: "access", ttlMs: 3_600_000, issuer: "fleetwright", audience: "fleetwright-api" } as const;
  return Promise.all(
    operators.map((operator) =>
      issueToken(keys.signing, operator, { ...options, clock: () => new Date(), newId: randomUUID }),
    ),
  );
}

/** Ready when it prints so: by then it also handles signals, and stops its PostgreSQL when it ends. */
export async function startFleetUp(env: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const child = spawn(process.execPath, [PROGRAM, "up"], {
    env: { ...env },
    stdio: ["ignore", "pipe", "inherit"],
    cwd: env["HOME"],
  });
  let output = "";
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    output += String(chunk);
    if (output.includes("Ctrl-C stops it")) {
      child.stdout.resume();
      return child;
    }
  }
  throw new Error(`fleet up ended before it was ready: ${output.slice(-500)}`);
}

/** A long-running `fleet …`; ended by its pid. It is ready when its API reports so. */
export async function startProgram(
  env: Readonly<Record<string, string>>,
  args: readonly string[],
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...env },
    stdio: ["ignore", "ignore", "inherit"],
    cwd: env["HOME"],
  });
  await waitUntilReady(`http://127.0.0.1:${env["PORT"] ?? ""}/healthz`, child);
  return child;
}

export async function stopProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const killTimer = setTimeout(() => child.kill("SIGKILL"), 15_000);
  await exited;
  clearTimeout(killTimer);
}

async function waitUntilReady(url: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode} before it was ready.`);
    const ready = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await pause(10);
  }
}

/** Runs a program to its end; returns how long it took, and its output. */
export async function runTimed(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd?: string,
): Promise<{ ms: number; stdout: string }> {
  const [program = "", ...args] = argv;
  const from = performance.now();
  const child = spawn(program, args, { env: { ...env }, stdio: ["ignore", "pipe", "pipe"], ...(cwd ? { cwd } : {}) });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => void (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => void (stderr += chunk.toString()));
  await once(child, "close");
  const ms = performance.now() - from;
  if (child.exitCode !== 0)
    throw new Error(`${argv.join(" ")} ended with ${String(child.exitCode)}: ${stderr.slice(-500)}`);
  return { ms, stdout };
}
