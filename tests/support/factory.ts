/**
 * Products for tests: products of a tenant, the results of their runs, and everything that is stored, as one text.
 */
import { randomUUID } from "node:crypto";
import type { Operator } from "../../src/domain/operator.ts";
import type { Intent } from "../../src/domain/orders/order.ts";
import { Product } from "../../src/domain/product.ts";
import type { TestFleet } from "./fleet.ts";

/** Adds a product of the operator's tenant to the settings; it has a check by default. */
export function addProduct(
  fleet: TestFleet,
  by: Operator,
  product: Record<string, unknown> & { readonly id: string },
): Product {
  const added = Product.parse({
    repository: `/srv/${by.tenantId}/${product.id}`,
    tenant: by.tenantId,
    commands: { validate: "true" },
    ...product,
  });
  fleet.fleet.settings.products.push(added);
  return added;
}

export interface PastRun {
  readonly product: string;
  readonly intent?: Intent;
  readonly status?: "success" | "failed";
  readonly hoursAgo?: number;
  readonly failure?: string;
}

/** A completed order, and its run. */
export async function addRun(
  fleet: TestFleet,
  by: Operator,
  { product, intent = "validate", status = "success", hoursAgo = 1, failure }: PastRun,
): Promise<string> {
  const [order, run] = [randomUUID(), randomUUID()];
  const ended = new Date(fleet.fleet.clock().getTime() - hoursAgo * 3_600_000);
  await fleet.query(
    `insert into work_orders (id, tenant_id, operator_id, product_id, intent, budget, source, status, completed_at)
     values ($1, $2, $3, $4, $5, '{"max_actions": 1}', 'manual', $6, $7)`,
    [order, by.tenantId, by.id, product, intent, status === "success" ? "completed" : "failed", ended],
  );
  await fleet.query(
    `insert into runs (id, tenant_id, operator_id, order_id, product_id, intent, status, failure, started_at, ended_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`,
    [run, by.tenantId, by.id, order, product, intent, status, failure ?? null, ended],
  );
  return run;
}

/** Every table with a hash of its rows: two of these are equal when nothing changed in between. */
export async function hashTables(fleet: TestFleet): Promise<Record<string, unknown>> {
  const tables = await fleet.query(
    "select quote_ident(tablename) as name from pg_tables where schemaname = 'public' order by 1",
  );
  const found: Record<string, unknown> = {};
  for (const { name } of tables) {
    const [row] = await fleet.query(
      `select count(*)::int as rows, md5(coalesce(string_agg(t::text, E'\\n' order by t::text), '')) as hash from ${String(name)} t`,
    );
    found[String(name)] = row;
  }
  return found;
}
