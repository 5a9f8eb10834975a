/** Runs everything in one process: database, migrations, web and worker; for one machine, and for trying Fleetwright out. */
import { chmod, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../environment.ts";
import { LOCAL_OPERATOR } from "../domain/operator.ts";
import type { Settings } from "../domain/settings/settings.ts";
import type { Log } from "../log.ts";
import { loadSettings } from "./settings.ts";
import { prepareHome, requirePrograms } from "./preflight.ts";
import { migrateAll, openDatabase, openFleet, type OpenFleet } from "./fleet.ts";
import { startLoop } from "./loop.ts";
import { hostVersions } from "./versions.ts";
import { startWeb, type RunningWeb } from "./web.ts";
import { startWorker } from "./worker.ts";

export interface RunningStack {
  readonly open: OpenFleet;
  readonly web: RunningWeb;
  readonly queues: "redis" | "postgres";
  readonly embedded: boolean;
  readonly credentialsFile: string;
  /** Drains, closes, and stops the embedded PostgreSQL when no other process of this home uses it. Agents continue to run. */
  close(): Promise<void>;
}

export interface UpOptions {
  readonly config: Config;
  readonly log: Log;
  readonly write: (line: string) => void;
  readonly settings?: Settings;
  /** Receives a sentence about each longer step. */
  readonly onProgress?: (sentence: string) => void;
  readonly onStuck?: (queue: string, sentence: string) => void;
}

const TOKEN_MS = 24 * 3_600_000;
const REFRESH_MS = 6 * 3_600_000;

export async function startStack(options: UpOptions): Promise<RunningStack> {
  const { config, log, onProgress = () => undefined } = options;
  // Errors that need no server are reported before one is started.
  await prepareHome(config.FLEET_HOME);
  await requirePrograms();
  if (!options.settings) await loadSettings(config.FLEET_CONFIG, process.cwd());
  onProgress(config.DATABASE_URL ? "Connecting to PostgreSQL" : "Starting the embedded PostgreSQL");
  const database = await openDatabase(config, log);
  let open: OpenFleet | undefined;
  let web: RunningWeb | undefined;
  try {
    const applied = await migrateAll(config, database.url, (message) => log.info({ component: "migrate" }, message));
    if (applied.length > 0) onProgress(`Updated the database schema (${applied.length} SQL files)`);
    const { write, onStuck } = options;
    open = await openFleet({
      config: { ...config, DATABASE_URL: database.url },
      log,
      write,
      statementTimeoutMs: 30_000,
      ...(options.settings ? { settings: options.settings } : {}),
      ...(onStuck ? { onStuck } : {}),
    });
    onProgress("Starting API and worker");
    web = await startWeb(open, config, { relays: false });
    const worker = await startWorker(open, { tickMs: config.FLEET_TICK_MS, versions: await hostVersions() });
    const [opened, served] = [open, web];
    const credentialsFile = join(config.FLEET_HOME, "credentials.json");
    const refresh = async () =>
      writeCredentials(credentialsFile, served.url, await served.issueFor(LOCAL_OPERATOR, TOKEN_MS));
    await refresh();
    const credentials = startLoop({
      everyMs: REFRESH_MS,
      step: refresh,
      onError: (error) =>
        log.warn({ component: "credentials", error: String(error) }, "the local token could not be renewed"),
    });
    return {
      open: opened,
      web: served,
      queues: opened.broker.backend,
      embedded: !config.DATABASE_URL,
      credentialsFile,
      async close() {
        await credentials.stop();
        await worker.drain();
        await served.close();
        await opened.close();
        await database.stop();
      },
    };
  } catch (error) {
    await web?.close();
    await open?.close();
    await database.stop();
    throw error;
  }
}

/** Written atomically, and readable only by its owner. */
async function writeCredentials(file: string, url: string, token: string): Promise<void> {
  const next = `${file}.${process.pid}`;
  await writeFile(next, `${JSON.stringify({ url, token })}\n`, { mode: 0o600 });
  await chmod(next, 0o600);
  await rename(next, file);
}
