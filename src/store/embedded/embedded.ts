/** The embedded PostgreSQL: a real and durable server, one per home, shared by every fleet process of that home. */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, readFile, realpath, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import { withLock } from "../../command/file-lock.ts";
import { listRegistered, registerProcess } from "../../command/process-files.ts";
import { codeOf, FleetError } from "../../domain/errors.ts";
import { initCluster, findServerPid, startServer, stopServer, type Cluster } from "./postgres-server.ts";
import { findBinaries, findRunAs, canTraverse } from "./postgres-binaries.ts";

/** Database and superuser have the same name. */
const DATABASE_NAME = "fleetwright";
const WATCH_INTERVAL_MS = 1_000;
/** Only a process that starts or stops the server holds the lock, which takes seconds. */
const LOCK = { timeoutMs: 120_000, code: "database-unavailable" } as const;

/** For root, whose home no other user may enter. */
const SYSTEM_DIR = "/var/lib/fleetwright";

export interface EmbeddedOptions {
  readonly home: string;
  readonly log: (message: string) => void;
  /** The folder for the data when PostgreSQL's user cannot enter `home`. */
  readonly systemDir?: string;
}

export interface EmbeddedPostgres {
  readonly url: string;
  /** False when it was already running. */
  readonly startedByUs: boolean;
  /** Like "18.4". */
  readonly version: string;
  /** Stops the server when no other process of this home uses it. */
  stop(): Promise<void>;
}

/**
 * Creates the cluster the first time, starts the server when it is not running, and restarts it on failure until `stop()`.
 * The server is a separate process: it outlives a killed fleet process, and the next one finds it running.
 */
export async function openEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { home, log } = options;
  await mkdir(home, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
  const lock = join(await realpath(home), "postgres.lock");

  const opened = await withLock(lock, LOCK, async () => {
    const cluster = await findCluster(options);
    const users = join(cluster.dir, "users");
    const unregister = await registerProcess(users);
    try {
      const password = await prepareCluster(cluster, log);
      const { port, startedByUs } = await ensureRunning(cluster, log);
      const url = `postgres://${DATABASE_NAME}:${password}@127.0.0.1:${port}/${DATABASE_NAME}`;
      await ensureDatabase(url, cluster);
      return { cluster, users, unregister, url, startedByUs };
    } catch (error) {
      await unregister();
      throw error;
    }
  });

  const { cluster, users, unregister, url, startedByUs } = opened;
  const stopSupervising = superviseServer(lock, cluster, log);
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    await stopSupervising();
    await withLock(lock, LOCK, async () => {
      await unregister();
      if ((await listRegistered(users)).length === 0) await stopServer(cluster);
    });
  };
  return { url, startedByUs, version: cluster.binaries.version, stop: () => (stopping ??= stop()) };
}

/** The address of this home's server, without starting it; undefined when none was ever created. */
export async function findEmbeddedPostgres(home: string): Promise<{ url: string; dir: string } | undefined> {
  const dir = join(home, "postgres");
  const [port, password] = await Promise.all(
    ["port", "password"].map((file) => readFile(join(dir, file), "utf8").catch(() => undefined)),
  );
  return port && password
    ? { url: `postgres://${DATABASE_NAME}:${password}@127.0.0.1:${port.trim()}/${DATABASE_NAME}`, dir }
    : undefined;
}

/** `<home>/postgres`, or the target of that symlink. Call only under the lock. */
async function findCluster({ home, log, systemDir = SYSTEM_DIR }: EmbeddedOptions): Promise<Cluster> {
  const postgresDir = join(await realpath(home), "postgres");
  const runAs = await findRunAs(join(postgresDir, "data"));

  if (!(await lstat(postgresDir).catch(() => undefined))) {
    if (await canTraverse(dirname(postgresDir), runAs)) await mkdir(postgresDir, { mode: 0o711 });
    else {
      // The name is random, not derived from the home's: a home that is removed and created again must not find its old data.
      const elsewhere = join(systemDir, `postgres-${randomBytes(6).toString("hex")}`);
      await mkdir(elsewhere, { recursive: true, mode: 0o711 });
      if (!(await canTraverse(elsewhere, runAs))) throw unreachableDirError(elsewhere, runAs?.name);
      await symlink(elsewhere, postgresDir);
      log(`PostgreSQL runs as user ${runAs?.name}, who cannot enter ${home}: its data is in ${elsewhere}.`);
    }
  }

  const dir = await realpath(postgresDir).catch((cause: unknown) => {
    throw new FleetError(
      "database-unusable",
      `${postgresDir} leads nowhere: ${restoreHint(postgresDir)}`,
      { place: postgresDir },
      cause,
    );
  });
  if (!(await canTraverse(dir, runAs))) throw unreachableDirError(dir, runAs?.name);
  return { dir, data: join(dir, "data"), runAs, binaries: await findBinaries(dir, runAs) };
}

/** Creates the cluster when there is none, and rejects one that this version cannot use. Returns the password. */
async function prepareCluster(cluster: Cluster, log: (message: string) => void): Promise<string> {
  const { data, dir, binaries } = cluster;
  const passwordFile = join(dir, "password");
  if (!(await lstat(data).catch(() => undefined))) {
    const password = randomBytes(24).toString("hex");
    await writeFile(passwordFile, password, { mode: 0o600 });
    log(`Making a PostgreSQL ${binaries.version} database in ${data} …`);
    await initCluster(cluster, { user: DATABASE_NAME, password });
    return password;
  }

  const major = binaries.version.split(".")[0];
  const made = (await readFile(join(data, "PG_VERSION"), "utf8").catch(() => "")).trim();
  const control = await lstat(join(data, "global", "pg_control")).catch(() => undefined);
  if (!made || !control) {
    throw new FleetError("database-unusable", `${data} is not a whole PostgreSQL database: ${restoreHint(data)}`, {
      data,
    });
  }
  if (made !== major) {
    const sentence =
      `The data in ${data} was made by PostgreSQL ${made}; this Fleetwright brings ${binaries.version}, which cannot read it. ` +
      `Start the Fleetwright that made it and dump it (pg_dump), then load that into a new home; or set DATABASE_URL. Nothing was changed.`;
    throw new FleetError("database-unusable", sentence, { data, made, brought: binaries.version });
  }
  const password = await readFile(passwordFile, "utf8").catch(() => "");
  if (password) return password.trim();
  throw new FleetError(
    "database-unusable",
    `The password file ${passwordFile} is missing: ${restoreHint(passwordFile)}`,
  );
}

async function ensureRunning(
  cluster: Cluster,
  log: (message: string) => void,
): Promise<{ port: number; startedByUs: boolean }> {
  const stateFile = join(cluster.dir, "port");
  const remembered = Number(await readFile(stateFile, "utf8").catch(() => "")) || undefined;
  if (remembered !== undefined && (await findServerPid(cluster)) !== undefined) {
    return { port: remembered, startedByUs: false };
  }

  const port = await startServer(cluster, remembered, (chosen) => writeFile(stateFile, String(chosen)));
  if (remembered !== undefined && port !== remembered) {
    log(`Port ${remembered} is taken by another program; PostgreSQL now listens on ${port}.`);
  }
  return { port, startedByUs: true };
}

async function ensureDatabase(url: string, cluster: Cluster): Promise<void> {
  if (await databaseExists(url, cluster)) return;
  const client = new Client({ connectionString: url.replace(/\/\w+$/, "/postgres") });
  client.on("error", () => {});
  await client.connect();
  try {
    await client.query(`create database ${DATABASE_NAME}`);
  } finally {
    await client.end();
  }
}

/** False when the server is up but the database does not exist. Waits while the server starts or recovers. */
async function databaseExists(url: string, cluster: Cluster): Promise<boolean> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
    client.on("error", () => {});
    try {
      await client.connect();
      await client.end();
      return true;
    } catch (error) {
      await client.end().catch(() => {});
      const code = codeOf(error);
      if (code === "3D000") return false;
      if (code === "28P01" || Date.now() > deadline) {
        const about = code === "28P01" ? `${join(cluster.dir, "password")} does not fit` : String(error);
        throw new FleetError("database-unusable", `The embedded PostgreSQL refuses us: ${about}.`, { code }, error);
      }
      await pause(20);
    }
  }
}

/** Restarts the server when it dies unexpectedly (killed, out of memory); the port and so the address stay the same. */
function superviseServer(lock: string, cluster: Cluster, log: (message: string) => void): () => Promise<void> {
  let watching = true;
  let checking = Promise.resolve();
  const checkServer = async () => {
    if ((await findServerPid(cluster)) !== undefined) return;
    await withLock(lock, LOCK, async () => {
      if (!watching || (await findServerPid(cluster)) !== undefined) return;
      log("PostgreSQL has died; starting it again.");
      await ensureRunning(cluster, log);
    });
  };
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    checking = checkServer()
      .catch((error: unknown) => log(`PostgreSQL could not be started again: ${String(error)}`))
      .finally(() => (busy = false));
  }, WATCH_INTERVAL_MS).unref();
  return async () => {
    watching = false;
    clearInterval(timer);
    await checking;
  };
}

function restoreHint(path: string): string {
  return (
    `restore ${path} from a backup, or move the folder away to begin with an empty database, ` +
    `or set DATABASE_URL to another PostgreSQL. Fleetwright has changed nothing.`
  );
}

function unreachableDirError(dir: string, user = "you"): FleetError {
  const sentence =
    `PostgreSQL would run as user ${user}, who cannot enter ${dir}. ` +
    `Make every folder above it enterable (chmod o+x), set FLEET_HOME to another place, or set DATABASE_URL.`;
  return new FleetError("database-unusable", sentence, { dir, user });
}
