/**
 * A row in every table that has a tenant, generated from the catalogue, so that a new table cannot be forgotten; with
 * a marker in every text.
 */
import { createHash } from "node:crypto";
import { escapeIdentifier, escapeLiteral } from "pg";
import { z } from "zod";
import type { TestDatabase } from "./database.ts";

type Query = TestDatabase["query"];

export interface Owner {
  readonly id: string;
  readonly tenantId: string;
}

const Column = z.object({
  table: z.string(),
  column: z.string(),
  type: z.string(),
  identity: z.string(),
  generated: z.string(),
  nullable: z.boolean(),
  /** A value that a check constraint allows, where it lists them. */
  allowed: z.string().nullable(),
  /** Empty unless a check over several columns requires a value. */
  entangled: z.boolean(),
});
type Column = z.infer<typeof Column>;

const COLUMNS = `
  select c.relname as table, a.attname as column, format_type(a.atttypid, null) as type,
    a.attidentity as identity, a.attgenerated as generated,
    not a.attnotnull as nullable,
    (select substring(pg_get_constraintdef(k.oid) from 'ARRAY\\[''([^'']+)''') from pg_constraint k
      where k.conrelid = c.oid and k.contype = 'c' and k.conkey = array[a.attnum]
        and pg_get_constraintdef(k.oid) like '%ARRAY[%' limit 1) as allowed,
    not a.attnotnull and exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'c'
      and a.attnum = any(k.conkey) and (cardinality(k.conkey) > 1)) as entangled
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and exists (select from pg_attribute t where t.attrelid = c.oid and t.attname = 'tenant_id' and not t.attisdropped)
  order by c.relname, a.attnum`;

/** One of several, where a check requires exactly one. */
const CHOSEN: ReadonlySet<string> = new Set(["artifacts.run_id", "audit_log.task_id", "fleet_config.value"]);

/** The tables that have a tenant, from the catalogue. */
export async function tenantTables(query: Query): Promise<string[]> {
  const columns = z.array(Column).parse(await query(COLUMNS));
  return [...new Set(columns.map(({ table }) => table))];
}

/** Bypasses foreign keys and triggers, as a replica does: the rows are inserted as they are. */
export async function insertMarkedRows(query: Query, owner: Owner, marker: string): Promise<void> {
  const columns = z.array(Column).parse(await query(COLUMNS));
  const inserts = [...new Set(columns.map(({ table }) => table))].map((table) => {
    const its = columns.filter((column) => column.table === table);
    const pairs = its.flatMap((column) => {
      const value = columnValue(column, owner, marker);
      return value === undefined ? [] : [{ name: escapeIdentifier(column.column), value }];
    });
    return `insert into ${table} (${pairs.map(({ name }) => name).join(", ")})
      values (${pairs.map(({ value }) => value).join(", ")}) on conflict do nothing;`;
  });
  await query(`begin; set local session_replication_role = replica; ${inserts.join("\n")} commit`);
}

function columnValue(column: Column, owner: Owner, marker: string): string | undefined {
  const { table, column: name, type, allowed } = column;
  if (column.generated !== "" || column.identity === "a") return undefined;
  if (column.entangled && !CHOSEN.has(`${table}.${name}`)) return undefined;
  // The times of removal, pause or end stay null.
  if (column.nullable && type.startsWith("timestamp")) return undefined;
  const fixed = fixedValue(`${table}.${name}`, owner, marker) ?? fixedValue(name, owner, marker) ?? allowed;
  return fixed === null ? BY_TYPE[type]?.(owner, name, marker) : escapeLiteral(fixed);
}

function fixedValue(name: string, owner: Owner, marker: string): string | null {
  const fixed = new Map([
    ["tenant_id", owner.tenantId],
    ["operator_id", owner.id],
    ["operators.id", owner.id],
    ["audit_log.chain", `task:${idFor(owner, "task_id")}`],
    ["branch", `fleet/${marker}`],
    ["fleet_tasks.agent_type", "claude_code"],
    ["fleet_tasks.runtime", "tmux"],
  ]);
  return fixed.get(name) ?? null;
}

const BY_TYPE: Readonly<Record<string, (owner: Owner, column: string, marker: string) => string>> = {
  text: (_, column, marker) => escapeLiteral(textFor(column, marker)),
  uuid: (owner, column) => escapeLiteral(idFor(owner, column)),
  "text[]": (_, column, marker) => `array[${escapeLiteral(textFor(column, marker))}]`,
  jsonb: (_, column, marker) => escapeLiteral(JSON.stringify({ [column]: marker })),
  bytea: (_, __, marker) => `convert_to(${escapeLiteral(marker)}, 'UTF8')`,
  integer: () => "1",
  bigint: () => "1",
  smallint: () => "1",
  numeric: () => "1",
  "double precision": () => "1",
  boolean: () => "true",
  "timestamp with time zone": () => "now()",
};

function textFor(column: string, marker: string): string {
  return `${marker}-${column}`;
}

/**
 * One id per tenant and kind of row, so that rows of one tenant belong together: the id of a task is every child's
 * task_id.
 */
export function idFor(owner: Owner, column: string): string {
  const hex = createHash("sha256").update(`${owner.tenantId}/${column}`).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `7${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    "-",
  );
}
