/** Audit entries of gc. */
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import type { GcMark } from "../../store/gc.ts";
import { auditOperator } from "../../store/operators.ts";
import { findRun } from "../../store/runs.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import { ensureSystemOperator } from "../scope.ts";

/** Written to the chain of the system operator of the run's tenant, or of the system tenant. */
export async function auditMark(fleet: Fleet, tx: Tx, mark: GcMark, action: string): Promise<void> {
  const run = mark.kind === "run" ? await findRun(tx, mark.subject) : undefined;
  const { id: operatorId } = await ensureSystemOperator(fleet, run?.tenantId ?? SYSTEM_TENANT);
  const { kind, subject, path, reason, restore, bytes } = mark;
  const detail = { kind, subject, path, reason, restore: action === "gc.put_aside" ? restore : null, bytes };
  await auditOperator(tx, { operatorId, actor: fleet.worker, action, detail: { ...detail, host: fleet.host.id } });
}
