/** operators and their slots: who may spawn, and the row that admission locks. */
import { Operator, OperatorRow } from "../domain/operator.ts";
import { sql, type Tx } from "./sql.ts";

/**
 * Creates the operator with its slot row, or updates the tier, and the role when one is given. It also enables a disabled
 * operator. Only processors call it (worker role), never a request.
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

/** Finds the highest tier and role that a token of this operator may claim. */
export async function findOperatorRow(tx: Tx, id: string): Promise<OperatorRow | undefined> {
  return tx.maybeOne(OperatorRow)`select ${columns} from operators o where o.id = ${id}`;
}

/** Does the same, and locks the row until commit. */
export async function lockOperator(tx: Tx, id: string): Promise<OperatorRow | undefined> {
  return tx.maybeOne(OperatorRow)`select ${columns} from operators o where o.id = ${id} for update`;
}

/** Lists those after `after`, by id. */
export async function listOperators(tx: Tx, after: string, limit: number): Promise<OperatorRow[]> {
  return tx.many(OperatorRow)`
    select ${columns} from operators o where o.id > ${after} order by o.id limit ${limit}`;
}

/** Creates or updates the operator. The tenant of an existing one stays. */
export async function upsertOperatorRow(tx: Tx, operator: Omit<OperatorRow, "createdAt">): Promise<void> {
  const { id, tenantId, tier, role, disabledAt } = operator;
  await tx.run`
    insert into operators (id, tenant_id, tier, role, disabled_at)
    values (${id}, ${tenantId}, ${tier}, ${role}, ${disabledAt})
    on conflict (id) do update set tier = excluded.tier, role = excluded.role, disabled_at = excluded.disabled_at,
      updated_at = now()`;
  await insertSlots(tx, id, tenantId);
}

/** Records an action without a task (a refusal, a token, a setting) in the operator's own audit chain. */
export async function auditOperator(
  tx: Tx,
  entry: { operatorId: string; actor: string; action: string; detail: Readonly<Record<string, unknown>> },
): Promise<void> {
  await tx.run`
    select fleet_audit(${entry.operatorId}, ${entry.actor}, ${entry.action}, ${JSON.stringify(entry.detail)}::jsonb)`;
}

/** Records what an operator did, in that operator's chain. */
export async function auditBy(
  tx: Tx,
  by: { readonly id: string },
  action: string,
  detail: Readonly<Record<string, unknown>>,
): Promise<void> {
  await auditOperator(tx, { operatorId: by.id, actor: by.id, action, detail });
}
