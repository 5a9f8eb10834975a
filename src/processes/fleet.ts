/** Builds what the use cases need from the settings of this process, and closes it in the right order. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { v7 as uuidv7 } from "uuid";
import { openAgents } from "../agents/agents.ts";
import { environmentSecrets } from "../agents/secrets.ts";
import { migrateQueueBackend, openBroker, type Broker } from "../broker/broker.ts";
import type { Fleet } from "../conductor/fleet.ts";
import type { Config } from "../environment.ts";
import type { Settings } from "../domain/settings/settings.ts";
import { createRedactor } from "../domain/text/redact.ts";
import { openForges } from "../forge/forges.ts";
import type { Log } from "../log.ts";
import { openChannels } from "../notify/channels.ts";
import { openEmbeddedPostgres } from "../store/embedded/embedded.ts";
import { migrateUp } from "../store/migrate.ts";
import { assertDatabaseUsable, LOCK_CONNECTIONS, openStore, type Store } from "../store/store.ts";
import { seededRandom } from "./seeded-random.ts";
import { baseEnv, secretEnv } from "./env.ts";
import { faultFromEnvironment } from "./faults.ts";
import { openScheduleFolder, schedulesFolder } from "./schedules.ts";
import { openSeal, requireKeys } from "./auth/seal.ts";
import { openSigner } from "./auth/signer.ts";
import { watchSettings, type WatchedSettings } from "./settings.ts";

export interface OpenFleet {
  readonly fleet: Fleet;
  readonly store: Store;
  readonly broker: Broker;
  readonly databaseUrl: string;
  /** Set by the relay of this process. */
  readonly setRelayKick: (kick: () => void) => void;
  close(): Promise<void>;
}

export interface OpenFleetOptions {
  readonly config: Config;
  readonly log: Log;
  /** Where the terminal channel prints. */
  readonly write: (line: string) => void;
  /** Statements of requests are short; workers' statements may take longer. */
  readonly statementTimeoutMs: number;
  readonly onStuck?: (queue: string, sentence: string) => void;
  /** Replaces fleet.yaml. */
  readonly settings?: Settings;
}

/** PostgreSQL as configured, or the embedded one, which is started if necessary. `stop` stops only the embedded one. */
export async function openDatabase(config: Config, log: Log): Promise<{ url: string; stop: () => Promise<void> }> {
  if (config.DATABASE_URL) return { url: config.DATABASE_URL, stop: async () => undefined };
  const embedded = await openEmbeddedPostgres({
    home: config.FLEET_HOME,
    log: (message) => log.info({ component: "postgres" }, message),
  });
  return { url: embedded.url, stop: () => embedded.stop() };
}

/** Migrates our schema and, when the queues are in PostgreSQL, theirs. Returns the names of the applied files. */
export async function migrateAll(config: Config, url: string, log: (message: string) => void): Promise<string[]> {
  const direct = config.DATABASE_DIRECT_URL ?? url;
  const applied = await migrateUp(direct, { log });
  if (!config.REDIS_URL) await migrateQueueBackend(direct, config.FLEET_QUEUE_PREFIX);
  return applied;
}

export async function openFleet(options: OpenFleetOptions): Promise<OpenFleet> {
  const { config, log } = options;
  await mkdir(config.FLEET_HOME, { recursive: true });
  const settings = await openSettings(options);
  const database = await openDatabase(config, log).catch(async (error: unknown) => {
    await settings.close();
    throw error;
  });
  let kick = noop;
  try {
    const { store, broker } = await openStores(options, database.url);
    const seal = await openSeal(config);
    await requireKeys(store, seal).catch(async (error: unknown) => {
      await Promise.all([broker.close(), store.close()]);
      throw error;
    });
    const agents = await openAgents({
      home: config.FLEET_HOME,
      socket: config.FLEET_TMUX_SOCKET,
      heartbeatIntervalMs: config.FLEET_HEARTBEAT_INTERVAL_MS,
      clock: now,
      baseEnv: baseEnv(),
    });
    const kickRelay = () => kick();
    const fleet: Fleet = {
      store,
      broker,
      agents,
      signer: openSigner(store, config),
      seal,
      kickRelay,
      ...(await openServices(options)),
      get settings() {
        return settings.current();
      },
    };
    return {
      fleet,
      store,
      broker,
      databaseUrl: database.url,
      setRelayKick(next) {
        kick = next;
      },
      async close() {
        await settings.close();
        await broker.close();
        await agents.close();
        await store.close();
        await database.stop();
      },
    };
  } catch (error) {
    await settings.close();
    await database.stop();
    throw error;
  }
}

/** The settings from the file as last read, or those passed in. The environment sets how often agents report. */
async function openSettings({ config, log, settings: given }: OpenFleetOptions): Promise<WatchedSettings> {
  const withHeartbeat = (settings: Settings): Settings => ({
    ...settings,
    monitor: { ...settings.monitor, heartbeatIntervalMs: config.FLEET_HEARTBEAT_INTERVAL_MS },
  });
  if (given) {
    const fixed = withHeartbeat(given);
    return { current: () => fixed, close: async () => undefined };
  }
  const watched = await watchSettings({ configFile: config.FLEET_CONFIG, folder: process.cwd(), log });
  let [source, derived] = [watched.current(), withHeartbeat(watched.current())];
  return {
    current() {
      const found = watched.current();
      if (found !== source) [source, derived] = [found, withHeartbeat(found)];
      return derived;
    },
    close: () => watched.close(),
  };
}

async function openStores(options: OpenFleetOptions, url: string): Promise<{ store: Store; broker: Broker }> {
  const { config, log, statementTimeoutMs, onStuck } = options;
  const onError = (component: string) => (error: Error) =>
    log.warn({ component, error: error.message }, "connection lost");
  const usable = await assertDatabaseUsable(url);
  if (config.DATABASE_URL && usable.privilegedLogin) {
    const facts = { component: "postgres", login: usable.privilegedLogin };
    log.info(facts, "this login could escape its role: docs/tenancy.md explains how to create one that cannot");
  }
  const store = openStore({
    url,
    maxConnections: config.DATABASE_POOL_MAX,
    statementTimeoutMs,
    onLostConnection: onError("postgres"),
  });
  try {
    const broker = await openBroker({
      redisUrl: config.REDIS_URL,
      databaseUrl: config.DATABASE_DIRECT_URL ?? url,
      prefix: config.FLEET_QUEUE_PREFIX,
      onError: onError("queue"),
      ...(onStuck ? { onStuck } : {}),
    });
    const ours = config.DATABASE_POOL_MAX + LOCK_CONNECTIONS + broker.databaseConnections;
    warnAboutConnections(log, ours, usable.maxConnections);
    return { store, broker };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** What a use case needs in addition to stores and agents. */
async function openServices({
  config,
  log,
  write,
}: OpenFleetOptions): Promise<
  Omit<Fleet, "store" | "broker" | "agents" | "signer" | "seal" | "kickRelay" | "settings">
> {
  const heartbeatIntervalMs = config.FLEET_HEARTBEAT_INTERVAL_MS;
  const secrets = environmentSecrets({ environment: secretEnv() });
  return {
    forges: openForges({ home: config.FLEET_HOME }),
    channels: openChannels({ write, http: { clock: now }, environment: config }),
    secrets,
    redactor: createRedactor({ values: secrets.allSecretValues() }),
    scheduleFiles: openScheduleFolder(schedulesFolder(config, process.cwd())),
    host: { id: config.FLEET_HOST_ID, bootId: await bootId(), slots: config.FLEET_SLOTS },
    worker: `${config.FLEET_HOST_ID}/${process.pid}/${randomBytes(3).toString("hex")}`,
    home: config.FLEET_HOME,
    heartbeatIntervalMs,
    tickMs: config.FLEET_TICK_MS,
    clock: now,
    random: config.FLEET_SEED === undefined ? Math.random : seededRandom(config.FLEET_SEED),
    newId: () => uuidv7(),
    sha256: (text) => createHash("sha256").update(text).digest("hex"),
    faultPoint: faultFromEnvironment(),
    log,
  };
}

function noop(): void {}

function now(): Date {
  return new Date();
}

/** Above 80 % of PostgreSQL's limit, a few more processes would use up all connections. */
function warnAboutConnections(log: Log, ours: number, allowed: number): void {
  const processes = Math.floor((allowed * 0.8) / ours);
  log.info(
    { component: "postgres", perProcess: ours, allowed, processes },
    `room for ${processes} processes of this size`,
  );
  if (processes < 2)
    log.warn({ component: "postgres", ours, allowed }, "PostgreSQL allows few connections: raise max_connections");
}

/** Changes when the machine boots; on systems other than Linux the host's name is used instead. */
async function bootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => hostname())).trim();
}
