/**
 * The environment: stores, repositories, one machine with workers and one web process; all started here, and stopped
 * by pid.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { Pool } from "pg";
import { readConfig, type Config } from "../../src/environment.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { issueToken } from "../../src/http/auth/tokens.ts";
import { openLog } from "../../src/log.ts";
import { baseEnv } from "../../src/processes/env.ts";
import { migrateAll, openFleet, type OpenFleet } from "../../src/processes/fleet.ts";
import { loadSigningKeys } from "../../src/processes/auth/keys.ts";
import { findFreePort } from "../../src/store/embedded/postgres-server.ts";
import { upsertOperator } from "../../src/store/operators.ts";
import { commitFiles, newCheckout, runGit } from "../support/repositories.ts";
import { startPostgres } from "../support/servers.ts";
import { openDurableRedis, type DurableRedis } from "./durable-redis.ts";
import { startProgram, type Program } from "./program.ts";

export const TICK_MS = 500;
export const HOST_ID = "stage";

export interface ChaosEnvironment extends AsyncDisposable {
  readonly dir: string;
  readonly home: string;
  readonly databaseUrl: string;
  readonly redis: DurableRedis | undefined;
  /** The repositories without and with checks. */
  readonly repositories: { readonly plain: string; readonly checked: string };
  /** Read-only: no worker runs in this process. */
  readonly open: OpenFleet;
  readonly webUrl: string;
  readonly operators: readonly { readonly id: string; readonly token: string }[];
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  startWorker(more?: Readonly<Record<string, string>>): Program;
  startWeb(): Program;
  readonly programs: ReadonlySet<Program>;
}

export interface EnvironmentOptions {
  readonly queue: "postgres" | "redis";
  readonly slots: number;
  readonly keep?: boolean;
  /** The number of agents one operator may have at a time, which limits what waits. */
  readonly perOperator?: number;
}

const OPERATORS: readonly Operator[] = [
  { id: "ada", tenantId: "acme", tier: "sovereign" },
  { id: "bob", tenantId: "acme", tier: "sovereign" },
  { id: "cyd", tenantId: "zeta", tier: "sovereign" },
];

/** A crash must lose nothing that was committed; a power cut is not simulated. */
const POSTGRES = { synchronous_commit: "on", autovacuum: "on", idle_session_timeout: "0" };

export async function openEnvironment(options: EnvironmentOptions): Promise<ChaosEnvironment> {
  const { queue, slots, keep = false, perOperator = 40 } = options;
  const dir = await realpath(await mkdtemp(join(tmpdir(), "fleet-chaos-")));
  await chmod(dir, 0o711);
  const undo: (() => Promise<unknown>)[] = [
    async () => (keep ? undefined : rm(dir, { recursive: true, force: true, maxRetries: 5 })),
  ];
  const close = async () => {
    for (const step of undo.splice(0).toReversed())
      await step().catch((error: unknown) => console.error("closing:", error));
  };
  try {
    const postgres = await startPostgres(POSTGRES);
    undo.push(() => postgres.stop());
    const redis = queue === "redis" ? await openDurableRedis(folder(dir, "redis")) : undefined;
    if (redis) undo.push(() => redis.stop());

    const home = folder(dir, "home");
    const repositories = makeRepositories(folder(dir, "repositories"));
    const configFile = join(dir, "fleet.json");
    writeFileSync(configFile, JSON.stringify(makeSettings(repositories.checked, perOperator)));
    const port = await findFreePort();
    const urls = { DATABASE_URL: postgres.url, ...(redis ? { REDIS_URL: redis.url } : {}) };
    const places = { FLEET_HOME: home, FLEET_CONFIG: configFile, PORT: String(port) };
    const env = makeEnv(dir, { ...urls, ...places, FLEET_SLOTS: String(slots) });
    const config = readConfig(env, { homeDir: dir, hostName: HOST_ID });
    await migrateAll(config, postgres.url, () => undefined);
    const log = await openLog({ level: "silent" });
    const open = await openFleet({ config, log, write: () => undefined, statementTimeoutMs: 60_000 });
    undo.push(() => open.close());
    undo.push(async () => killAgents(home));
    const pool = openPool(postgres.url);
    undo.push(() => pool.end());

    const operators = await makeOperators(open, config);
    const processes = openPrograms(dir, env);
    undo.push(() => processes.endAll());
    return {
      dir,
      home,
      databaseUrl: postgres.url,
      redis,
      repositories,
      open,
      webUrl: `http://127.0.0.1:${port}`,
      operators,
      query: async (text, values = []) => (await pool.query<Record<string, unknown>>(text, [...values])).rows,
      startWorker: (more = {}) => processes.start("worker", ["worker"], more),
      startWeb: () => processes.start("web", ["web"], {}),
      programs: processes.programs,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function openPool(url: string): Pool {
  const pool = new Pool({ connectionString: url, max: 3, application_name: "chaos" });
  return pool.on("error", () => undefined);
}

function makeEnv(dir: string, more: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: baseEnv()["PATH"] ?? "/usr/bin:/bin",
    HOME: dir,
    FLEET_HOST_ID: HOST_ID,
    FLEET_TICK_MS: String(TICK_MS),
    FLEET_HEARTBEAT_INTERVAL_MS: "3000",
    FLEET_LOG_LEVEL: "info",
    DATABASE_POOL_MAX: "12",
    ...more,
  };
}

async function makeOperators(open: OpenFleet, config: Config): Promise<ChaosEnvironment["operators"]> {
  const keys = await loadSigningKeys(open.store, config);
  const options = {
    kind: "access",
    ttlMs: 6 * 3_600_000,
    issuer: "fleetwright",
    audience: "fleetwright-api",
    clock: () => new Date(),
    newId: randomUUID,
  } as const;
  return Promise.all(
    OPERATORS.map(async (operator) => {
      await open.store.asSystem((tx) => upsertOperator(tx, operator));
      return { id: operator.id, token: await issueToken(keys.signing, operator, options) };
    }),
  );
}

function openPrograms(dir: string, env: Readonly<Record<string, string>>) {
  const programs = new Set<Program>();
  let count = 0;
  return {
    programs,
    start(name: string, args: readonly string[], more: Readonly<Record<string, string>>): Program {
      count += 1;
      const logFile = join(dir, `${name}-${count}.log`);
      const program = startProgram({ name: `${name} ${count}`, args, env: { ...env, ...more }, cwd: dir, logFile });
      programs.add(program);
      void program.ended.then(() => programs.delete(program));
      return program;
    },
    async endAll(): Promise<void> {
      for (const program of programs) program.signal("SIGCONT");
      for (const program of programs) program.signal("SIGKILL");
      await Promise.all([...programs].map(({ ended }) => ended));
    },
  };
}

function folder(dir: string, name: string): string {
  const path = join(dir, name);
  mkdirSync(path, { recursive: true });
  if (name === "home") chmodSync(path, 0o711);
  return path;
}

function makeRepositories(dir: string): ChaosEnvironment["repositories"] {
  const make = (name: string) => {
    const checkout = newCheckout(join(dir, `${name}-checkout`));
    commitFiles(
      checkout,
      Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`src/file-${at}.txt`, `line ${at}\n`])),
      "files",
    );
    const bare = join(dir, `${name}.git`);
    runGit(dir, "clone", "--quiet", "--bare", checkout, bare);
    return bare;
  };
  return { plain: make("plain"), checked: make("checked") };
}

/** Every task goes all the way to `merged`; the second repository has checks, refactorings have a reviewer. */
function makeSettings(checked: string, perOperator: number): unknown {
  const validate = 'for c in checks/*.sh; do [ ! -e "$c" ] || sh "$c" || exit 1; done';
  return {
    version: 1,
    products: [{ id: "checked", repository: checked, commands: { validate } }],
    reviewers: { default: [], refactor: [{ name: "stub", type: "stub", timeoutMinutes: 1 }] },
    tiers: { sovereign: perOperator },
    retry: { baseDelayMs: 300, capMs: 1_500 },
    monitor: { spawnTimeoutMs: 30_000, hostGraceMs: 30_000 },
    autoMerge: true,
    notify: { mute: ["spawned", "pr_ready", "retrying", "ci_failed", "review_rejected"] },
  };
}

function killAgents(home: string): void {
  try {
    execFileSync("tmux", ["-S", join(home, "tmux", "fleet.sock"), "kill-server"], { stdio: "ignore", timeout: 5_000 });
  } catch {
    // None is running.
  }
}
