/** Once per test run: one PostgreSQL with a template database that has every migration, one Redis, stopped at the end. */
import { Client } from "pg";
import type { TestProject } from "vitest/node";
import { migrateUp } from "../../src/store/migrate.ts";
import { ensurePrograms, startPostgres, startRedis, type TestServer } from "./servers.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Of the server's own database; `testDatabase()` gives each test its own. */
    databaseUrl: string;
    redisUrl: string;
  }
}

export default async function prepare(project: TestProject): Promise<() => Promise<void>> {
  await ensurePrograms({ "redis-server": "redis-server", tmux: "tmux", git: "git" });

  const servers: TestServer[] = [];
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const started = await Promise.allSettled([startPostgres(), startRedis()]);
    for (const one of started) if (one.status === "fulfilled") servers.push(one.value);
    const failed = started.find((one) => one.status === "rejected");
    if (failed) throw failed.reason;

    const [postgres, redis] = servers;
    if (!postgres || !redis) throw new Error("A server is missing.");
    await makeTemplate(postgres.url);
    project.provide("databaseUrl", postgres.url);
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
