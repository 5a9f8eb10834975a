/** The actual and the expected schema: a fingerprint of each table and function, equal on every version of PostgreSQL. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { Tx } from "./sql.ts";

export type SchemaFingerprint = Readonly<Record<string, string>>;

const FingerprintRow = z.object({ object: z.string(), print: z.string() });

/**
 * Hashes names, types and texts as they were written, but nothing that PostgreSQL deparses, because that text differs between
 * versions. It leaves out partitions and objects of other owners.
 */
export async function readSchema(tx: Tx): Promise<SchemaFingerprint> {
  const rows = await tx.many(FingerprintRow)`
    with ours as (
      select c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
        and pg_get_userbyid(c.relowner) = 'fleet_owner'
    ), lines as (
      select relname, format('security %s %s', relrowsecurity, relforcerowsecurity) as line from ours
      union all
      select relname, format('column %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull)
      from ours join pg_attribute on attrelid = oid and attnum > 0 and not attisdropped
      union all
      select relname, format('constraint %s', conname) from ours join pg_constraint on conrelid = ours.oid and contype <> 'n'
      union all
      select relname, format('index %s %s', indexrelid::regclass, indisvalid) from ours join pg_index on indrelid = oid
      union all
      select relname, format('trigger %s %s', tgname, tgenabled) from ours join pg_trigger on tgrelid = ours.oid
        and not tgisinternal
      union all
      select relname, format('policy %s %s', polname, polcmd) from ours join pg_policy on polrelid = ours.oid
    )
    select 'table ' || relname as object, md5(string_agg(line, E'\n' order by line collate "C")) as print
    from lines group by relname
    union all
    select format('function %s(%s)', proname, pg_get_function_identity_arguments(oid)),
      md5(concat_ws(E'\n', prosrc, prosecdef, array_to_string(proconfig, ',')))
    from pg_proc where pronamespace = 'public'::regnamespace and pg_get_userbyid(proowner) = 'fleet_owner'`;
  return Object.fromEntries(rows.map(({ object, print }) => [object, print.slice(0, 16)]));
}

/** Reads the schema that this Fleetwright's SQL files create. A test writes `schema.json`. */
export async function readExpectedSchema(): Promise<SchemaFingerprint> {
  const text = await readFile(new URL("schema.json", import.meta.url), "utf8");
  return z.record(z.string(), z.string()).parse(JSON.parse(text));
}

export async function listAppliedMigrations(tx: Tx): Promise<string[]> {
  const rows = await tx.many(z.object({ name: z.string() }))`select name from public.fleet_migrations order by name`;
  return rows.map(({ name }) => name);
}
