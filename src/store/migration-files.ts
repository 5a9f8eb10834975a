/** The SQL files of the schema: `migrations/NNNN_what.up.sql` with its `.down.sql`, and `functions/*.sql`. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "../domain/errors.ts";

const FILE_NAME = /^(\d{4}_[a-z0-9_]+)\.(up|down)\.sql$/;

export interface FunctionFile {
  readonly file: string;
  readonly sql: string;
  readonly sha256: string;
}

/** Names of the migrations, in order. Each needs both files. */
export async function listMigrationFiles(dir: string): Promise<string[]> {
  const files = await listSqlFiles(join(dir, "migrations"));
  const found = new Map<string, Set<string>>();
  for (const file of files) {
    const [, name, direction] = FILE_NAME.exec(file) ?? [];
    if (!name || !direction) throw new FleetError("database-unusable", misnamedMessage(file), { file });
    found.set(name, (found.get(name) ?? new Set()).add(direction));
  }
  for (const [name, directions] of found) {
    if (directions.size === 2) continue;
    const missing = `${name}.${directions.has("up") ? "down" : "up"}.sql`;
    throw new FleetError("database-unusable", `Migration file ${missing} is missing.`, { file: missing });
  }
  return [...found.keys()];
}

function misnamedMessage(file: string): string {
  return `Migration file ${file} is not named like 0001_words.up.sql or 0001_words.down.sql.`;
}

export async function readFunctionFiles(dir: string): Promise<FunctionFile[]> {
  const files = await listSqlFiles(join(dir, "functions"));
  return Promise.all(
    files.map(async (name) => {
      const sql = await readFile(join(dir, "functions", name), "utf8");
      return { file: `functions/${name}`, sql, sha256: createHash("sha256").update(sql).digest("hex") };
    }),
  );
}

async function listSqlFiles(dir: string): Promise<string[]> {
  const files = await readdir(dir);
  return files.filter((file) => file.endsWith(".sql")).toSorted();
}
