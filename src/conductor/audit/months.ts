/** Keeping the audit log in months: their partitions are there before anything is written into them, and go when they are old. */
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import * as months from "../../store/audit-months.ts";
import { auditOperator } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import { verifyAudit } from "./verify.ts";
import { writeCheckpoint, withCheckpointLock } from "./checkpoints.ts";
import { ensureSystemOperator } from "../system-operator.ts";
import type { Fleet } from "../fleet.ts";
import { SYSTEM } from "../../store/principal.ts";

/** A farm whose workers stand still for a quarter of a year still writes into months. */
const MONTHS_AHEAD = 3;
/** A check, its validation, the turn, and the months. */
const MAX_STEPS = 6;

/** True when all months are there. What cannot be done now (a lock that was waited for) is done an hour later. */
export async function ensureAuditMonths(fleet: Fleet): Promise<boolean> {
  try {
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const state = await fleet.store.asSystem((tx) => months.createAuditMonths(tx, MONTHS_AHEAD));
      if (state === "done") return true;
    }
  } catch (error) {
    fleet.log.warn(
      { event: "audit.months", error: String(error) },
      "the next months of the audit log could not be made",
    );
  }
  return false;
}

export type DropMonthResult =
  | { readonly dropped: string; readonly checkpoint: number; readonly chains: number; readonly entries: number }
  | { readonly retained: string; readonly why: string };

const DAY_MS = 86_400_000;
/** As long as its tasks are there, their history is: they prove their own end by it. */
const MAX_MONTH_MS = 31 * DAY_MS;
const MAX_LISTED = 3;

/**
 * The oldest month, when it is older than `gc.keepAuditMonths` says: one at a time, in the transaction of a checkpoint that is
 * signed over what stays. Nothing goes while anything of the log does not hold. Undefined when there is nothing to do.
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
      "nobody has exported it since it was over: fleet audit export --all --out FILE",
    );
  }
  const verdict = await verifyAudit(fleet, SYSTEM);
  if (!verdict.ok) return reportRetained(fleet, month.name, "the log does not hold: fleet audit verify");
  const system = await ensureSystemOperator(fleet, SYSTEM_TENANT);
  const outcome = await withCheckpointLock(fleet, (tx) => dropMonth(fleet, tx, { month, actor: system.id }));
  if (!outcome) return undefined;
  if ("why" in outcome) return reportRetained(fleet, month.name, outcome.why);
  fleet.log.info({ event: "audit.month-dropped", ...outcome }, "a month of the audit log is gone");
  return outcome;
}

function reportRetained(fleet: Fleet, name: string, why: string): DropMonthResult {
  fleet.log.warn(
    { event: "audit.month-kept", month: name, why },
    "a month of the audit log is past its keeping, and stays",
  );
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
