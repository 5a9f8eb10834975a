/** Keeping the audit log in months: their partitions are there before anything is written into them, and go when they are old. */
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import * as months from "../../store/audit-months.ts";
import { auditOperator } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import { verifyAudit } from "./verify.ts";
import { writeCheckpoint, withCheckpointLock } from "./checkpoints.ts";
import type { Fleet } from "../fleet.ts";
import { SYSTEM } from "../../store/principal.ts";
import { ensureSystemOperator } from "../scope.ts";

/** A fleet whose workers are down for three months still finds a partition for its first entry. */
const MONTHS_AHEAD = 3;
/** At most: drop an old check, add a check, validate it, turn the default partition into a month, create the months. */
const MAX_STEPS = 6;

/** True when all months exist. A step that fails now (a lock timeout) is repeated an hour later. */
export async function ensureAuditMonths(fleet: Fleet): Promise<boolean> {
  try {
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const state = await fleet.store.asSystem((tx) => months.createAuditMonths(tx, MONTHS_AHEAD));
      if (state === "done") return true;
    }
  } catch (error) {
    fleet.log.warn(
      { event: "audit.months", error: String(error) },
      "next months of the audit log could not be created",
    );
  }
  return false;
}

export type DropMonthResult =
  | { readonly dropped: string; readonly checkpoint: number; readonly chains: number; readonly entries: number }
  | { readonly retained: string; readonly why: string };

const DAY_MS = 86_400_000;
/** A month is kept for this long after its tasks may be pruned, since the history of a task proves how it ended. */
const MAX_MONTH_MS = 31 * DAY_MS;
const MAX_LISTED = 3;

/**
 * Drops the oldest month when it is older than `gc.keepAuditMonths`: one at a time, in the transaction of a checkpoint that
 * signs what remains. Nothing is dropped unless the whole log verifies. Undefined when there is nothing to do.
 */
export async function dropOldMonth(fleet: Fleet): Promise<DropMonthResult | undefined> {
  const { keepAuditMonths, keepRowsDays, auditExportFirst } = fleet.settings.gc;
  if (keepAuditMonths === undefined) return undefined;
  const [month] = await fleet.store.asSystem((tx) => months.listAuditMonths(tx));
  const now = fleet.clock();
  const cut = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - keepAuditMonths, 1);
  const rowsCut = now.getTime() - keepRowsDays * DAY_MS - MAX_MONTH_MS;
  if (!month || month.until.getTime() > Math.min(cut, rowsCut)) return undefined;
  if (auditExportFirst && !(await fleet.store.asSystem((tx) => months.wasExportedSince(tx, month.until)))) {
    return reportRetained(
      fleet,
      month.name,
      "it has not been exported since it ended: fleet audit export --all --out FILE",
    );
  }
  const verdict = await verifyAudit(fleet, SYSTEM);
  if (!verdict.ok) return reportRetained(fleet, month.name, "the log does not verify: fleet audit verify");
  const system = await ensureSystemOperator(fleet, SYSTEM_TENANT);
  const outcome = await withCheckpointLock(fleet, (tx) => dropMonth(fleet, tx, { month, actor: system.id }));
  if (!outcome) return undefined;
  if ("why" in outcome) return reportRetained(fleet, month.name, outcome.why);
  fleet.log.info({ event: "audit.month-dropped", ...outcome }, "audit month was dropped");
  return outcome;
}

function reportRetained(fleet: Fleet, name: string, why: string): DropMonthResult {
  fleet.log.warn({ event: "audit.month-kept", month: name, why }, "audit month past retention was kept");
  return { retained: name, why };
}

interface DropMonthRequest {
  readonly month: months.AuditMonth;
  readonly actor: string;
}

async function dropMonth(fleet: Fleet, tx: Tx, { month, actor }: DropMonthRequest): Promise<DropMonthResult> {
  const { name } = month;
  let removed = { chains: 0, entries: 0 };
  let uncovered: string[] = [];
  const { id } = await writeCheckpoint(fleet, tx, async () => {
    uncovered = await months.listUncoveredChains(tx, month, MAX_LISTED);
    if (uncovered.length > 0) return [];
    removed = await months.markMonthRemoved(tx, month);
    return [{ month: name, ...removed }];
  });
  if (uncovered.length > 0) return { retained: name, why: `no checkpoint covers ${uncovered.join(", ")}` };
  await months.dropAuditMonth(tx, name, id);
  const detail = { month: name, checkpoint: id, ...removed };
  await auditOperator(tx, { operatorId: actor, actor: fleet.worker, action: "audit.month_dropped", detail });
  return { dropped: name, checkpoint: id, ...removed };
}
