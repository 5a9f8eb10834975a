/** operators and their slots: who may ask, and the row that admission waits in line for. */
import { z } from "zod";
import { Operator } from "../domain/operator.ts";
import type { Tx } from "./sql.ts";

/** Makes the operator and its slot row known, or updates the tier. Only the house does this (worker role), never a request. */
export async function upsertOperator(tx: Tx, { id, tenantId, tier }: Operator): Promise<void> {
  await tx.run`
    insert into operators (id, tenant_id, tier) values (${id}, ${tenantId}, ${tier})
    on conflict (id) do update set tier = excluded.tier, updated_at = now() where operators.tier <> excluded.tier`;
  await tx.run`
    insert into slots (operator_id, tenant_id) values (${id}, ${tenantId}) on conflict (operator_id) do nothing`;
}

export async function findOperator(tx: Tx, id: string): Promise<Operator | undefined> {
  return tx.maybeOne(Operator)`select id, tenant_id, tier from operators where id = ${id}`;
}

export async function countHeldSlots(tx: Tx, operatorId: string): Promise<number> {
  const row = await tx.maybeOne(
    z.object({ active: z.int() }),
  )`select active from slots where operator_id = ${operatorId}`;
  return row?.active ?? 0;
}

/** An act without a task (a refusal, a token, a setting), in the operator's own audit chain. */
export async function auditOperator(
  tx: Tx,
  entry: { operatorId: string; actor: string; action: string; detail: Readonly<Record<string, unknown>> },
): Promise<void> {
  await tx.run`
    select fleet_audit(${entry.operatorId}, ${entry.actor}, ${entry.action}, ${JSON.stringify(entry.detail)}::jsonb)`;
}
