/** operators and their slots: who may ask, and the row that admission waits in line for. */
import { Operator, OperatorRow } from "../domain/operator.ts";
import { sql, type Tx } from "./sql.ts";

/**
 * Makes the operator and its slot row known, or updates the tier, and the role when one is given; also one that was disabled
 * is let in again. Only the house does this (worker role), never a request.
 */
export async function upsertOperator(tx: Tx, { id, tenantId, tier, role }: Operator): Promise<void> {
  await tx.run`
    insert into operators as o (id, tenant_id, tier, role) values (${id}, ${tenantId}, ${tier}, ${role ?? null})
    on conflict (id) do update set tier = excluded.tier, role = coalesce(excluded.role, o.role), disabled_at = null,
      updated_at = now()
    where o.tier <> excluded.tier or o.disabled_at is not null or coalesce(excluded.role <> o.role, excluded.role is not null)`;
  await insertSlots(tx, id, tenantId);
}

async function insertSlots(tx: Tx, id: string, tenantId: string): Promise<void> {
  await tx.run`
    insert into slots (operator_id, tenant_id) values (${id}, ${tenantId}) on conflict (operator_id) do nothing`;
}

export async function findOperator(tx: Tx, id: string): Promise<Operator | undefined> {
  return tx.maybeOne(Operator)`select id, tenant_id, tier from operators where id = ${id}`;
}

const columns = sql`o.id, o.tenant_id, o.tier, o.role, o.disabled_at, o.created_at`;

/** The most that a token of this operator may claim. */
export async function findOperatorRow(tx: Tx, id: string): Promise<OperatorRow | undefined> {
  return tx.maybeOne(OperatorRow)`select ${columns} from operators o where o.id = ${id}`;
}

/** The same, and nobody else changes it until commit. */
export async function lockOperator(tx: Tx, id: string): Promise<OperatorRow | undefined> {
  return tx.maybeOne(OperatorRow)`select ${columns} from operators o where o.id = ${id} for update`;
}

/** In the order of their names, those behind `after`. */
export async function listOperators(tx: Tx, after: string, limit: number): Promise<OperatorRow[]> {
  return tx.many(OperatorRow)`
    select ${columns} from operators o where o.id > ${after} order by o.id limit ${limit}`;
}

/** New, or other than it was. The tenant of one that is there stays. */
export async function upsertOperatorRow(tx: Tx, operator: Omit<OperatorRow, "createdAt">): Promise<void> {
  const { id, tenantId, tier, role, disabledAt } = operator;
  await tx.run`
    insert into operators (id, tenant_id, tier, role, disabled_at)
    values (${id}, ${tenantId}, ${tier}, ${role}, ${disabledAt})
    on conflict (id) do update set tier = excluded.tier, role = excluded.role, disabled_at = excluded.disabled_at,
      updated_at = now()`;
  await insertSlots(tx, id, tenantId);
}

/** An act without a task (a refusal, a token, a setting), in the operator's own audit chain. */
export async function auditOperator(
  tx: Tx,
  entry: { operatorId: string; actor: string; action: string; detail: Readonly<Record<string, unknown>> },
): Promise<void> {
  await tx.run`
    select fleet_audit(${entry.operatorId}, ${entry.actor}, ${entry.action}, ${JSON.stringify(entry.detail)}::jsonb)`;
}

/** What an operator did themselves, in their own chain. */
export async function auditBy(
  tx: Tx,
  by: { readonly id: string },
  action: string,
  detail: Readonly<Record<string, unknown>>,
): Promise<void> {
  await auditOperator(tx, { operatorId: by.id, actor: by.id, action, detail });
}
