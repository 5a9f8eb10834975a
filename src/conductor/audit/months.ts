/** Keeping the audit log in months: their partitions are there before anything is written into them, and go when they are old. */
import * as months from "../../store/audit-months.ts";
import { auditOperator } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import { WORKER } from "../../store/store.ts";
import { verifyAudit } from "./verify.ts";
import { checkpointIn, withCheckpointLock } from "./checkpoints.ts";
import { factoryOperator } from "../system-operator.ts";
import type { Fleet } from "../fleet.ts";
import { HOUSE_TENANT } from "../scope.ts";

/** A farm whose workers stand still for a quarter of a year still writes into months. */
const MONTHS_AHEAD = 3;
/** A check, its validation, the turn, and the months. */
const MOST_STEPS = 6;

/** True when all months are there. What cannot be done now (a lock that was waited for) is done an hour later. */
export async function tendAuditMonths(fleet: Fleet): Promise<boolean> {
  try {
    for (let step = 0; step < MOST_STEPS; step += 1) {
      const state = await fleet.store.transaction(WORKER, (tx) => months.makeAuditMonths(tx, MONTHS_AHEAD));
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

export type MonthDropped =
  | { readonly dropped: string; readonly checkpoint: number; readonly chains: number; readonly entries: number }
  | { readonly kept: string; readonly why: string };

const DAY_MS = 86_400_000;
/** As long as its tasks are there, their history is: they prove their own end by it. */
const LONGEST_MONTH_MS = 31 * DAY_MS;
const MOST_NAMED = 3;

/**
 * The oldest month, when it is older than `gc.keepAuditMonths` says: one at a time, in the transaction of a checkpoint that is
 * signed over what stays. Nothing goes while anything of the log does not hold. Undefined when there is nothing to do.
 */
export async function dropOldMonth(fleet: Fleet): Promise<MonthDropped | undefined> {
  const { keepAuditMonths, keepRowsDays, auditExportFirst } = fleet.settings.gc;
  if (keepAuditMonths === undefined) return undefined;
  const [month] = await fleet.store.transaction(WORKER, (tx) => months.listAuditMonths(tx));
  const now = fleet.clock();
  const cut = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - keepAuditMonths, 1);
  const rowsCut = now.getTime() - keepRowsDays * DAY_MS - LONGEST_MONTH_MS;
  if (!month || month.until.getTime() > Math.min(cut, rowsCut)) return undefined;
  if (auditExportFirst && !(await fleet.store.transaction(WORKER, (tx) => months.wasExportedSince(tx, month.until)))) {
    return kept(fleet, month.name, "nobody has exported it since it was over: fleet audit export --all --out FILE");
  }
  const verdict = await verifyAudit(fleet, WORKER);
  if (!verdict.ok) return kept(fleet, month.name, "the log does not hold: fleet audit verify");
  const house = await factoryOperator(fleet, HOUSE_TENANT);
  const outcome = await withCheckpointLock(fleet, (tx) => dropIn(fleet, tx, { month, actor: house.id }));
  if (!outcome) return undefined;
  if ("why" in outcome) return kept(fleet, month.name, outcome.why);
  fleet.log.info({ event: "audit.month-dropped", ...outcome }, "a month of the audit log is gone");
  return outcome;
}

function kept(fleet: Fleet, name: string, why: string): MonthDropped {
  fleet.log.warn(
    { event: "audit.month-kept", month: name, why },
    "a month of the audit log is past its keeping, and stays",
  );
  return { kept: name, why };
}

interface Dropping {
  readonly month: months.AuditMonth;
  readonly actor: string;
}

async function dropIn(fleet: Fleet, tx: Tx, { month, actor }: Dropping): Promise<MonthDropped> {
  const { name } = month;
  let gone = { chains: 0, entries: 0 };
  let uncovered: string[] = [];
  const { id } = await checkpointIn(fleet, tx, async () => {
    uncovered = await months.listUncovered(tx, month, MOST_NAMED);
    if (uncovered.length > 0) return [];
    gone = await months.noteRemoved(tx, month);
    return [{ month: name, ...gone }];
  });
  if (uncovered.length > 0) return { kept: name, why: `no checkpoint covers ${uncovered.join(", ")}` };
  await months.dropAuditMonth(tx, name, id);
  const detail = { month: name, checkpoint: id, ...gone };
  await auditOperator(tx, { operatorId: actor, actor: fleet.worker, action: "audit.month_dropped", detail });
  return { dropped: name, checkpoint: id, ...gone };
}
