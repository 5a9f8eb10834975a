/** A separate database for a test, with every migration: a clone of the template that the run created once. */
import { randomBytes } from "node:crypto";
import { Client, Pool } from "pg";
import { inject } from "vitest";

export interface TestDatabase extends AsyncDisposable {
  /** Connects as the superuser that owns everything. */
  readonly url: string;
  /** Reads and writes as the superuser, bypassing row security. */
  query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
}

/** `await using database = await testDatabase()`. With `empty`, without any migration. */
export async function testDatabase(from: "template" | "empty" = "template"): Promise<TestDatabase> {
  const name = `fleet_test_${randomBytes(6).toString("hex")}`;
  const url = serverUrl().replace(/\/\w+$/, `/${name}`);
  await runOnServer(`create database ${name} template ${from === "template" ? "fleet_template" : "template0"}`);

  const pool = new Pool({ connectionString: url, max: 2 }).on("error", ignore);
  return {
    url,
    query: async (text, values) => (await pool.query<Record<string, unknown>>(text, values)).rows,
    async [Symbol.asyncDispose]() {
      await pool.end();
      await runOnServer(`drop database ${name} with (force)`);
    },
  };
}

/** The server of this test worker. */
function serverUrl(): string {
  const urls = inject("databaseUrls");
  const url = urls[(Number(process.env["VITEST_POOL_ID"] ?? 1) - 1) % urls.length];
  if (!url) throw new Error("No PostgreSQL was prepared.");
  return url;
}

async function runOnServer(statement: string): Promise<void> {
  const server = new Client({ connectionString: serverUrl() });
  await server.connect();
  try {
    await server.query(statement);
  } finally {
    await server.end();
  }
}

/** Dropping the database breaks connections that are closing, which is no failure. */
function ignore(): void {}
