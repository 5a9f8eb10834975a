/** What every row may use: servers of the bench's own, databases with our schema, homes; all of it is removed at the end. */
import { chmod, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, Pool } from "pg";
import { migrateUp } from "../src/store/migrate.ts";
import { openDurableRedis } from "../tests/chaos/durable-redis.ts";
import { startPostgres } from "../tests/support/servers.ts";

export interface Database {
  readonly url: string;
  /** Connects as the superuser, so that row security does not apply. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
}

export interface BenchWorld extends AsyncDisposable {
  readonly rounds: number;
  /** True for a quick check with small sizes, which is not a measurement. */
  readonly quick: boolean;
  readonly redisUrl: string;
  /** Creates a database with every migration and fsync on, as in production. */
  database(): Promise<Database>;
  /** Creates a folder that is removed at the end. */
  folder(name: string): Promise<string>;
  /** Registers what is undone at the end, in reverse order. */
  defer(undo: () => Promise<unknown>): void;
  /** Picks one size for a measurement, another for a quick check. */
  size(full: number, quick: number): number;
}

/** Commits reach the disk, as in production; everything else is as in the tests' server. */
const DURABLE = {
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  autovacuum: "on",
  wal_level: "replica",
  max_wal_size: "1GB",
};

export async function openWorld({ rounds, quick }: { rounds: number; quick: boolean }): Promise<BenchWorld> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), "fleet-bench-")));
  await chmod(dir, 0o711);
  const closers: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true, maxRetries: 5 })];
  const close = async () => {
    for (const undo of closers.splice(0).toReversed()) {
      await undo().catch((error: unknown) => process.stderr.write(`closing: ${String(error)}\n`));
    }
  };
  let folders = 0;
  let databases = 0;
  const folder = async (name: string) => {
    folders += 1;
    const path = join(dir, `${name}-${folders}`);
    await mkdir(path, { recursive: true, mode: 0o711 });
    return path;
  };
  try {
    const postgres = await startPostgres(DURABLE);
    closers.push(() => postgres.stop());
    const redis = await openDurableRedis(await folder("redis"));
    closers.push(() => redis.stop());
    const template = databaseUrl(postgres.url, "fleet_template");
    await runOnServer(postgres.url, "create database fleet_template");
    await migrateUp(template);

    return {
      rounds,
      quick,
      redisUrl: redis.url,
      async database() {
        databases += 1;
        const name = `bench_${databases}`;
        await runOnServer(postgres.url, `create database ${name} template fleet_template`);
        const url = databaseUrl(postgres.url, name);
        const pool = new Pool({ connectionString: url, max: 4, application_name: "bench" }).on(
          "error",
          () => undefined,
        );
        closers.push(() => pool.end());
        return {
          url,
          query: async (text, values = []) => (await pool.query<Record<string, unknown>>(text, [...values])).rows,
        };
      },
      folder,
      defer: (undo) => void closers.push(undo),
      size: (full, small) => (quick ? small : full),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function databaseUrl(server: string, name: string): string {
  return server.replace(/\/\w+$/, `/${name}`);
}

async function runOnServer(url: string, statement: string): Promise<void> {
  const server = new Client({ connectionString: url });
  await server.connect();
  try {
    await server.query(statement);
  } finally {
    await server.end();
  }
}
