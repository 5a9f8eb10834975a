/** The schema that the migrations make, held to a page that people read: UPDATE_SCHEMA=1 writes it, every other run compares. */
import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { listKnownMigrations, migrateDown, migrateUp } from "../../src/store/migrate.ts";
import { readExpectedSchema, listAppliedMigrations, readSchema } from "../../src/store/schema.ts";
import { testStore } from "../support/store.ts";
import { testDatabase, type TestDatabase } from "../support/database.ts";

const PAGE = new URL("./schema.snapshot.txt", import.meta.url);
const PRINT = new URL("../../src/store/schema.json", import.meta.url);

test("the migrations make the schema that was agreed, and nothing else", async () => {
  await using database = await testDatabase();
  const schema = await describeSchema(database);
  // oxlint-disable-next-line node/no-process-env -- how a person says that the change is meant
  if (process.env["UPDATE_SCHEMA"]) await writeFile(PAGE, schema);

  const agreed = await readFile(PAGE, "utf8").catch(() => "");
  expect(
    schema,
    "The schema changed. If that is meant: UPDATE_SCHEMA=1 npx vitest run tests/store/schema.test.ts",
  ).toBe(agreed);
});

test("the print of the schema that drift is told by is that of the migrations", async () => {
  await using world = await testStore();
  const [print, applied] = await world.store.asSystem(async (tx) => [
    await readSchema(tx),
    await listAppliedMigrations(tx),
  ]);
  const sorted = Object.fromEntries(Object.entries(print).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  // oxlint-disable-next-line node/no-process-env -- how a person says that the change is meant
  if (process.env["UPDATE_SCHEMA"]) await writeFile(PRINT, `${JSON.stringify(sorted, undefined, 2)}\n`);

  expect(print).toEqual(await readExpectedSchema());
  expect(Object.keys(print).length).toBeGreaterThan(30);
  expect(applied).toEqual(await listKnownMigrations());
});

test("reverting everything leaves only the bookkeeping, and going up again makes the same", async () => {
  await using database = await testDatabase("empty");
  const empty = await describeSchema(database);
  await migrateUp(database.url);
  const first = await describeSchema(database);

  await migrateDown(database.url, "0000");
  expect(await describeSchema(database)).toBe(empty);
  await migrateUp(database.url);
  expect(await describeSchema(database)).toBe(first);
});

const OURS = "n.nspname = 'public' and c.relname <> 'fleet_migrations' and c.relname not like 'fleet_migrations_%'";

/** One statement per kind of thing; each gives sorted lines. */
const PARTS: Readonly<Record<string, string>> = {
  "tables (row security: on, forced)": `
    select format('%s: %s%s%s', c.relname, case c.relkind when 'p' then 'partitioned' else 'table' end,
      case when c.relrowsecurity then ', on' else '' end, case when c.relforcerowsecurity then ', forced' else '' end) as line
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${OURS} and c.relkind in ('r', 'p', 'v', 'm')`,
  columns: `
    select format('%s.%s: %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
      case when a.attnotnull then ' not null' else '' end,
      coalesce(case when a.attidentity <> '' then ' identity' when a.attgenerated <> '' then ' generated ' else ' default ' end
        || pg_get_expr(d.adbin, d.adrelid), case when a.attidentity <> '' then ' identity' else '' end)) as line
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where ${OURS} and c.relkind in ('r', 'p', 'v', 'm')`,
  constraints: `
    select format('%s.%s: %s', c.relname, k.conname, pg_get_constraintdef(k.oid)) as line
    from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
    where ${OURS} and k.contype <> 'n'`,
  indexes: `
    select pg_get_indexdef(i.indexrelid) as line
    from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace where ${OURS}`,
  triggers: `
    select pg_get_triggerdef(t.oid) as line
    from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
    where ${OURS} and not t.tgisinternal`,
  policies: `
    select format('%s.%s: %s to %s using (%s) with check (%s)', tablename, policyname, cmd, roles, qual, with_check) as line
    from pg_policies where schemaname = 'public'`,
  grants: `
    select format('%s: %s to %s', c.relname, string_agg(lower(g.privilege_type), ', ' order by g.privilege_type), g.who) as line
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
      join lateral (select privilege_type, coalesce(r.rolname, 'public') as who
        from aclexplode(c.relacl) x left join pg_roles r on r.oid = x.grantee) g on g.who <> 'fleet_owner'
    where ${OURS} and c.relkind in ('r', 'p', 'v', 'm') group by c.relname, g.who`,
  "grants on columns": `
    select format('%s.%s: %s to %s', c.relname, a.attname, lower(x.privilege_type), r.rolname) as line
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
      join lateral aclexplode(a.attacl) x on true join pg_roles r on r.oid = x.grantee where ${OURS}`,
  owners: `
    select distinct format('%s', pg_get_userbyid(c.relowner)) as line
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${OURS}`,
  functions: `
    select format(E'%s(%s) returns %s, %s%s\\n%s', p.proname, pg_get_function_identity_arguments(p.oid),
      pg_get_function_result(p.oid), case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
      case when p.prosecdef then ', security definer' else '' end || coalesce(', ' || array_to_string(p.proconfig, ', '), ''),
      p.prosrc) as line
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'`,
};

async function describeSchema(database: TestDatabase): Promise<string> {
  const parts: string[] = [];
  for (const [title, statement] of Object.entries(PARTS)) {
    const rows = await database.query(`${statement} order by 1`);
    const lines = rows.map((row) => String(row["line"])).toSorted();
    parts.push(`== ${title}\n${lines.join("\n")}\n`);
  }
  return parts.join("\n");
}
