/** Keeping the audit log in months: their partitions are there before anything is written into them. */
import { makeAuditMonths } from "../store/audit-months.ts";
import { WORKER } from "../store/store.ts";
import type { Fleet } from "./fleet.ts";

/** A farm whose workers stand still for a quarter of a year still writes into months. */
const MONTHS_AHEAD = 3;
/** A check, its validation, the turn, and the months. */
const MOST_STEPS = 6;

/** True when all months are there. What cannot be done now (a lock that was waited for) is done an hour later. */
export async function tendAuditMonths(fleet: Fleet): Promise<boolean> {
  try {
    for (let step = 0; step < MOST_STEPS; step += 1) {
      const state = await fleet.store.transaction(WORKER, (tx) => makeAuditMonths(tx, MONTHS_AHEAD));
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
