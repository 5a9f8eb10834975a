/**
 * Once per test run: the built program, a PostgreSQL for each test worker with a template that has every migration,
 * one Redis.
 */
import { availableParallelism } from "node:os";
import { Client } from "pg";
import type { TestProject } from "vitest/node";
import { migrateUp } from "../../src/store/migrate.ts";
import { build, type BuiltProgram } from "./built.ts";
import { ensurePrograms, startPostgres, startRedis, type TestServer } from "./servers.ts";

declare module "vitest" {
  interface ProvidedContext {
    /**
     * URLs of the servers' own databases, one server per test worker; `testDatabase()` gives each test its own
     * database.
     */
    databaseUrls: readonly string[];
    redisUrl: string;
  }
}

/**
 * With one server per worker, an open transaction of one test does not delay events of another: the horizon is the
 * server's.
 */
const MAX_SERVERS = 4;

export default async function prepare(project: TestProject): Promise<() => Promise<void>> {
  await ensurePrograms({ "redis-server": "redis-server", tmux: "tmux", git: "git" });

  const servers: TestServer[] = [];
  let built: BuiltProgram | undefined;
  const stop = async () => {
    built?.remove();
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const count = Math.min(availableParallelism() + 1, MAX_SERVERS);
    const databases = Array.from({ length: count }, () => startPostgres());
    const [compiled, ...started] = await Promise.allSettled([build(), startRedis(), ...databases]);
    if (compiled.status === "fulfilled") built = compiled.value;
    for (const one of started) if (one.status === "fulfilled") servers.push(one.value);
    const failed = [compiled, ...started].find((one) => one.status === "rejected");
    if (failed) throw failed.reason;

    const [redis, ...postgres] = servers;
    if (!redis) throw new Error("Redis is missing.");
    await Promise.all(postgres.map(({ url }) => makeTemplate(url)));
    project.provide(
      "databaseUrls",
      postgres.map(({ url }) => url),
    );
    project.provide("redisUrl", redis.url);
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function makeTemplate(serverUrl: string): Promise<void> {
  const server = new Client({ connectionString: serverUrl });
  await server.connect();
  await server.query("create database fleet_template");
  await migrateUp(serverUrl.replace(/\/\w+$/, "/fleet_template"));
  await server.query("alter database fleet_template with allow_connections false is_template true");
  await server.end();
}
