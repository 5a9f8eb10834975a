/** The scheduled checks of the fleet: recording that one ran, and reading which are overdue. */
import { isDeepStrictEqual } from "node:util";
import { fleetSchedules } from "../../../schedules/fleet.ts";
import { isOverdue } from "../../domain/monitor/self-monitoring.ts";
import { listChecks, listHostChecks, recordCheck, type Check } from "../../store/checks.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";

export function schedulesOf({ tickMs, settings }: Fleet) {
  return fleetSchedules({ tickMs, planner: settings.planner });
}

/** Records that a scheduled check ran to its end. Jobs that an operator requested do not count. */
export async function recordCheckRun(
  fleet: Fleet,
  job: { readonly queue: string; readonly payload: unknown; readonly tookMs: number; readonly result?: object },
): Promise<void> {
  const schedule = schedulesOf(fleet).find(
    ({ queue, payload }) => queue.name === job.queue && isDeepStrictEqual(payload, job.payload),
  );
  if (!schedule) return;
  const { id: name, everyMs: periodMs } = schedule;
  const { tookMs, result } = job;
  await fleet.store.asSystem((tx) =>
    recordCheck(tx, { name, periodMs, tookMs, worker: fleet.worker, ...(result ? { result } : {}) }),
  );
}

export interface CheckStatus extends Check {
  readonly isOverdue: boolean;
}

/** Every expected check, and whether it is overdue. */
export async function readChecks(fleet: Fleet): Promise<CheckStatus[]> {
  return fleet.store.asSystem((tx) => readCheckStatuses(fleet, tx));
}

export async function readCheckStatuses(fleet: Fleet, tx: Tx): Promise<CheckStatus[]> {
  const checks = [...(await listChecks(tx)), ...(await listHostChecks(tx, fleet.tickMs))];
  return checks.map((check) => Object.assign({ isOverdue: isOverdue(check) }, check));
}
