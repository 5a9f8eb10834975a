/** audit_log by months: partitions made ahead of time, and which there are. */
import { z } from "zod";
import type { Tx } from "./sql.ts";

/** 'again': another call, in a transaction of its own, goes on. */
export async function makeAuditMonths(tx: Tx, ahead: number): Promise<"done" | "again"> {
  const row = await tx.one(z.object({ state: z.enum(["done", "again"]) }))`
    select fleet_audit_months(${ahead}) as state`;
  return row.state;
}
