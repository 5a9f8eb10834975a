/**
 * Who watches the watchers: every process looks by its own clock, so a scheduler that has lost its jobs, or workers that
 * are gone, are missed as well. One look at a time in the whole fleet; each episode is told once.
 */
import { isDeepStrictEqual } from "node:util";
import { fleetSchedules } from "../../../schedules/fleet.ts";
import type { AlertKind } from "../../domain/notify/alert.ts";
import { decideBurst, decideOverload, isOverdue } from "../../domain/monitor/self-monitoring.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import { listOpenAlerts, type Alert } from "../../store/alerts.ts";
import { getNextAuditId } from "../../store/audit-reading.ts";
import { listDenials } from "../../store/audit.ts";
import {
  syncExpectedChecks,
  listChecks,
  listHostChecks,
  measureSlotQueue,
  recordCheck,
  type Check,
} from "../../store/checks.ts";
import type { Tx } from "../../store/sql.ts";
import { endAlert, raiseAlert } from "./alerts.ts";
import { watchBudgets } from "./budgets.ts";
import { ensureSystemOperator } from "../system-operator.ts";
import type { Fleet } from "../fleet.ts";

const OVERLOAD = "overload";
const CHECK = "check/";
const DENIED = "denied/";
/** Of the newest entries of the audit log, at each look. */
const MAX_SCANNED = 10_000;

function schedulesOf({ tickMs, settings }: Fleet) {
  return fleetSchedules({ tickMs, planner: settings.planner });
}

/** Done by the clock, to its end: the check has run. Jobs that somebody asked for are none. */
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

/** Every check that is expected, and whether it runs. */
export async function readChecks(fleet: Fleet): Promise<CheckStatus[]> {
  return fleet.store.asSystem((tx) => readCheckStatuses(fleet, tx));
}

async function readCheckStatuses(fleet: Fleet, tx: Tx): Promise<CheckStatus[]> {
  const checks = [...(await listChecks(tx)), ...(await listHostChecks(tx, fleet.tickMs))];
  return checks.map((check) => Object.assign({ isOverdue: isOverdue(check) }, check));
}

export type FleetAlert = Alert;

/** What is wrong now, as it was told. */
export async function readAlerts(fleet: Fleet): Promise<FleetAlert[]> {
  return fleet.store.asSystem((tx) => listOpenAlerts(tx, ["FLEET_OVERLOAD", "GOVERNANCE_ALERT"]));
}

/** One look; undefined when another process is at it. */
export async function watchFleet(fleet: Fleet): Promise<void> {
  await watchBudgets(fleet);
  const system = await ensureSystemOperator(fleet, SYSTEM_TENANT);
  const reported = await fleet.store.tryWithLock("watch-house", () =>
    fleet.store.asSystem(async (tx) => {
      await syncExpectedChecks(
        tx,
        schedulesOf(fleet).map(({ id, everyMs }) => ({ name: id, periodMs: everyMs })),
      );
      const reporter = new AlertReporter(
        fleet,
        tx,
        system.id,
        await listOpenAlerts(tx, ["FLEET_OVERLOAD", "GOVERNANCE_ALERT"]),
      );
      await watchLoad(fleet, tx, reporter);
      await watchChecks(fleet, tx, reporter);
      await watchDenials(fleet, tx, reporter);
      return reporter.reported;
    }),
  );
  if (reported) fleet.kickRelay();
}

async function watchLoad(fleet: Fleet, tx: Tx, reporter: AlertReporter): Promise<void> {
  const load = await measureSlotQueue(tx);
  const limits = fleet.settings.governance.overload;
  const decision = decideOverload(load, limits, { isOpen: reporter.isOpen(OVERLOAD) });
  const minutes = Math.floor(load.oldestMs / 60_000);
  const summary = `${load.waiting} wait for a host, the longest for ${minutes} min`;
  if (decision === "raise") {
    await reporter.raise("FLEET_OVERLOAD", { key: OVERLOAD, subject: "fleet", summary, facts: { ...load, ...limits } });
  }
  if (decision === "end") await reporter.end("FLEET_OVERLOAD", OVERLOAD);
}

async function watchChecks(fleet: Fleet, tx: Tx, reporter: AlertReporter): Promise<void> {
  const late = (await readCheckStatuses(fleet, tx)).filter((check) => check.isOverdue);
  for (const { name, periodMs, ageMs, lastGoodAt } of late) {
    const [every, since] = [Math.round(periodMs / 1_000), Math.round(ageMs / 1_000)];
    const summary = `check ${name} does not run: every ${every} s it should, since ${since} s it has not`;
    const facts = { check: name, periodMs, ageMs, lastGoodAt: lastGoodAt?.toISOString() ?? null };
    await reporter.raise("GOVERNANCE_ALERT", { key: CHECK + name, subject: name, summary, facts });
  }
  const keys = new Set(late.map(({ name }) => CHECK + name));
  for (const key of reporter.open(CHECK)) if (!keys.has(key)) await reporter.end("GOVERNANCE_ALERT", key);
}

/** Somebody, or a program of theirs, asks again and again for what they do not get. */
async function watchDenials(fleet: Fleet, tx: Tx, reporter: AlertReporter): Promise<void> {
  const { spawns, minutes } = fleet.settings.governance.denials;
  const from = (await getNextAuditId(tx)) - MAX_SCANNED;
  const found = await listDenials(tx, { from, minutes });
  const denials = new Map(found.map(({ operatorId, refused }) => [DENIED + operatorId, refused]));
  for (const key of new Set([...denials.keys(), ...reporter.open(DENIED)])) {
    const [refused, operator] = [denials.get(key) ?? 0, key.slice(DENIED.length)];
    const decision = decideBurst(refused, spawns, { isOpen: reporter.isOpen(key) });
    const summary = `operator ${operator} was refused ${refused} spawns within ${minutes} min`;
    const facts = { operator, refused, spawns, minutes };
    if (decision === "raise") await reporter.raise("GOVERNANCE_ALERT", { key, subject: operator, summary, facts });
    if (decision === "end") await reporter.end("GOVERNANCE_ALERT", key);
  }
}

/** Tells the house, and knows what is told already. */
class AlertReporter {
  reported = 0;
  private readonly fleet: Fleet;
  private readonly tx: Tx;
  private readonly operatorId: string;
  private readonly alerts: ReadonlySet<string>;

  constructor(fleet: Fleet, tx: Tx, operatorId: string, alerts: readonly Alert[]) {
    this.fleet = fleet;
    this.tx = tx;
    this.operatorId = operatorId;
    this.alerts = new Set(alerts.map(({ key }) => key));
  }

  isOpen(key: string): boolean {
    return this.alerts.has(key);
  }

  open(prefix: string): string[] {
    return [...this.alerts].filter((key) => key.startsWith(prefix));
  }

  async raise(
    kind: AlertKind,
    notice: {
      readonly key: string;
      readonly subject: string;
      readonly summary: string;
      readonly facts: Readonly<Record<string, unknown>>;
    },
  ): Promise<void> {
    if (this.isOpen(notice.key)) return;
    const owner = { tenantId: SYSTEM_TENANT, operatorId: this.operatorId };
    if (await raiseAlert(this.fleet, this.tx, kind, { ...owner, ...notice })) this.reported += 1;
  }

  async end(kind: AlertKind, key: string): Promise<void> {
    if (await endAlert(this.fleet, this.tx, kind, key)) this.reported += 1;
  }
}
