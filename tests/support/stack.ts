/**
 * Fleetwright as users run it: the built program, `fleet up` as one process, and the other commands as further ones.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { openTmux } from "../../src/agents/runtime/tmux.ts";
import { findMarked, killTree } from "../../src/command/process-tree.ts";
import { migrateQueueBackend } from "../../src/broker/broker.ts";
import { builtProgram } from "./built.ts";
import { testDatabase } from "./database.ts";
import { eventually } from "./eventually.ts";
import { CHECK } from "./fleet.ts";
import { temporaryHome } from "./home.ts";
import { newCheckout } from "./repositories.ts";

const run = promisify(execFile);
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A machine with PostgreSQL, a product and a reviewer; nothing is running yet. */
async function aMachine(queues: { redisUrl?: string }, prefix: string) {
  const database = await testDatabase();
  const home = await temporaryHome();
  if (!queues.redisUrl) await migrateQueueBackend(database.url, prefix);
  const repository = newCheckout(join(home.path, "shop"));
  const config = join(home.path, "fleet.yaml");
  writeFileSync(
    config,
    JSON.stringify({
      products: [{ id: "shop", repository, commands: { test: CHECK } }],
      reviewers: [{ name: "tidy", type: "stub", role: "leftovers" }],
      retry: { baseDelayMs: 100, capMs: 500 },
    }),
  );
  const env = {
    PATH: process.env["PATH"],
    HOME: home.path,
    DATABASE_URL: database.url,
    ...(queues.redisUrl ? { REDIS_URL: queues.redisUrl } : {}),
    FLEET_HOME: join(home.path, "fleet"),
    FLEET_CONFIG: config,
    FLEET_QUEUE_PREFIX: prefix,
    FLEET_TICK_MS: "500",
    FLEET_HEARTBEAT_INTERVAL_MS: "1000",
    PORT: "0",
  };
  return { database, home, repository, env };
}

/** `up`, `down` and `kill` control `fleet up`; `fleet` runs any other command. */
export async function aStack(queues: { redisUrl?: string }, prefix: string) {
  const { database, home, repository, env } = await aMachine(queues, prefix);
  const bin = builtProgram();
  let up: ChildProcess | undefined;
  let log = "";

  return {
    repository,
    query: (text: string, values?: unknown[]) => database.query(text, values),
    home: env.FLEET_HOME,
    /** Resolves when it responds. */
    async up(): Promise<void> {
      rmSync(join(env.FLEET_HOME, "credentials.json"), { force: true });
      const started = spawn(process.execPath, [bin, "up"], { env, stdio: ["ignore", "pipe", "pipe"] });
      for (const stream of [started.stdout, started.stderr]) stream.on("data", (chunk) => (log += String(chunk)));
      up = started;
      await eventually(async () => {
        if (started.exitCode !== null) throw new Error(`fleet up ended with ${started.exitCode}: ${log}`);
        const found = await Promise.resolve()
          .then(() => readFileSync(join(env.FLEET_HOME, "credentials.json"), "utf8"))
          .catch(() => "");
        return found === "" ? undefined : found;
      }, 30_000);
    },
    /** Sends SIGTERM, on which it drains; returns the exit code. */
    async down(): Promise<number | null> {
      if (!up || up.exitCode !== null) return null;
      up.kill("SIGTERM");
      await once(up, "exit");
      return up.exitCode;
    },
    async kill(): Promise<void> {
      up?.kill("SIGKILL");
      if (up) await once(up, "exit");
    },
    /** Runs one command. */
    async fleet(...words: string[]): Promise<CommandResult> {
      return run(process.execPath, [bin, ...words], { env, cwd: repository, maxBuffer: 16_000_000 }).then(
        ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
        (error: { code: number; stdout: string; stderr: string }) => error,
      );
    },
    log: () => log,
    async [Symbol.asyncDispose]() {
      if (up && up.exitCode === null && up.signalCode === null) await this.kill();
      await openTmux({ home: env.FLEET_HOME, socket: "fleet" }).shutDown();
      for (const { id } of await database.query("select id from fleet_tasks")) {
        const marker = { name: "FLEET_TASK", value: String(id) };
        if (findMarked(marker).length > 0) await killTree([], { graceMs: 0, marker });
      }
      await database[Symbol.asyncDispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}
