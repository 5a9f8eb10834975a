/** runs: each execution of a work order, with how it ended. */
import { z } from "zod";
import { Intent } from "../domain/order.ts";
import { sql, type Tx } from "./sql.ts";

export const RunStatus = z.enum(["in_progress", "success", "failed", "cancelled"]);
export type RunStatus = z.infer<typeof RunStatus>;

export const Run = z.object({
  id: z.uuid(),
  tenantId: z.string(),
  operatorId: z.string(),
  orderId: z.uuid(),
  productId: z.string(),
  intent: Intent,
  attempt: z.int(),
  host: z.string().nullable(),
  worker: z.string().nullable(),
  status: RunStatus,
  headSha: z.string().nullable(),
  exitCode: z.int().nullable(),
  /** One word: time_out, killed, budget_exceeded, missing_evidence, … */
  failure: z.string().nullable(),
  message: z.string().nullable(),
  transient: z.boolean(),
  pinned: z.boolean(),
  /** The release this run belongs to; such a run is never collected. */
  release: z.string().nullable(),
  summary: z.record(z.string(), z.unknown()),
  /** Where its evidence is, on its host. */
  dir: z.string().nullable(),
  startedAt: z.date(),
  endedAt: z.date().nullable(),
  /** Put aside by gc. */
  collectedAt: z.date().nullable(),
});
export type Run = z.infer<typeof Run>;

export const runColumns = sql`r.id, r.tenant_id, r.operator_id, r.order_id, r.product_id, r.intent, r.attempt, r.host,
  r.worker, r.status, r.head_sha, r.exit_code, r.failure, r.message, r.transient, r.pinned, r.release, r.summary, r.dir,
  r.started_at, r.ended_at, r.collected_at`;

export async function findRun(tx: Tx, id: string): Promise<Run | undefined> {
  return tx.maybeOne(Run)`select ${runColumns} from runs r where r.id = ${id}`;
}

/** The latest ended run of each product and intent of a tenant: what the planner knows. */
export async function listLatestRuns(tx: Tx, tenantId: string): Promise<Run[]> {
  return tx.many(Run)`
    select distinct on (r.product_id, r.intent) ${runColumns} from runs r
    where r.tenant_id = ${tenantId} and r.status in ('success', 'failed')
    order by r.product_id, r.intent, r.started_at desc`;
}
