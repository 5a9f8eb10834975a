/**
 * The input of an intent's executor, without the queue around it: a stored order and run, and a folder for evidence.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { v7 } from "uuid";
import type { IntentContext } from "../../src/conductor/orders/intents/intent.ts";
import { DEFAULT_ORDER_BUDGET, type Intent } from "../../src/domain/orders/order.ts";
import type { Product } from "../../src/domain/product.ts";
import { createRedactor } from "../../src/domain/text/redact.ts";
import { evidenceDir, openEvidence } from "../../src/runs/evidence.ts";
import { insertOrders } from "../../src/store/orders.ts";
import { findRun } from "../../src/store/runs.ts";
import type { TestFleet } from "./fleet.ts";
import { ensureSystemOperator } from "../../src/conductor/scope.ts";

export interface TestIntentRequest extends IntentContext {
  /** The stored evidence. */
  read(name: string): Promise<string>;
}

export async function anIntentRequest(
  { fleet, query }: TestFleet,
  product: Product,
  intent: Intent,
  subject: string = randomUUID(),
): Promise<TestIntentRequest> {
  const { id: operatorId, tenantId } = await ensureSystemOperator(fleet, product.tenant);
  const work = {
    job_id: v7(),
    product_id: product.id,
    intent,
    inputs: {},
    budget: DEFAULT_ORDER_BUDGET[intent],
    stop_conditions: [],
    priority: 50,
    evidence_expectations: [],
    created_at: new Date().toISOString(),
    status: "pending" as const,
    result: null,
    plan_id: null,
    policy_refs: [],
  };
  const [order] = await fleet.store.asSystem((tx) =>
    insertOrders(tx, { tenantId, operatorId }, [{ order: work, source: "manual", subject }]),
  );
  if (!order) throw new Error("The order was not stored.");
  const runId = v7();
  await query(
    "insert into runs (id, tenant_id, operator_id, order_id, product_id, intent) values ($1, $2, $3, $4, $5, $6)",
    [runId, tenantId, operatorId, order.id, product.id, intent],
  );
  const run = await fleet.store.asSystem((tx) => findRun(tx, runId));
  if (!run) throw new Error("The run was not stored.");
  const evidence = await openEvidence(evidenceDir(fleet.home, product.id, runId), createRedactor());
  const read = (name: string) => readFile(join(evidence.path, name), "utf8");
  return { fleet, order, run, product, evidence, signal: new AbortController().signal, read };
}
