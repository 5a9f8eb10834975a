/**
 * Self-monitoring: every process checks on its own timer, so that a scheduler that lost its jobs, or the loss of all workers,
 * is noticed too. One check at a time in the whole fleet; each episode is reported once.
 */
import { decideBurst, decideOverload } from "../../domain/monitor/self-monitoring.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import { listOpenAlerts, type Alert } from "../../store/alerts.ts";
import { getNextAuditId } from "../../store/audit-reading.ts";
import { listDenials } from "../../store/audit.ts";
import { measureSlotQueue, syncExpectedChecks } from "../../store/checks.ts";
import type { Tx } from "../../store/sql.ts";
import { endAlert, raiseAlert, syncAlerts } from "./alerts.ts";
import { watchBudgets } from "./budgets.ts";
import { readCheckStatuses, schedulesOf } from "./checks.ts";
import type { Fleet } from "../fleet.ts";
import { ensureSystemOperator } from "../scope.ts";

const OVERLOAD = "overload";
const CHECK = "check/";
const DENIED = "denied/";
/** The newest entries of the audit log that each check reads. */
const MAX_SCANNED = 10_000;
const ALERT_KINDS = ["FLEET_OVERLOAD", "GOVERNANCE_ALERT"] as const;

export type FleetAlert = Alert;

/** The alerts that are open now. */
export async function readAlerts(fleet: Fleet): Promise<FleetAlert[]> {
  return fleet.store.asSystem((tx) => listOpenAlerts(tx, ALERT_KINDS));
}

interface Watch {
  readonly fleet: Fleet;
  readonly tx: Tx;
  readonly owner: { readonly tenantId: string; readonly operatorId: string };
  /** Keys of the open alerts. */
  readonly open: ReadonlySet<string>;
}

/** One check; it does nothing while another process checks. */
export async function watchFleet(fleet: Fleet): Promise<void> {
  await watchBudgets(fleet);
  const { id: operatorId } = await ensureSystemOperator(fleet, SYSTEM_TENANT);
  await fleet.store.tryWithLock("watch-fleet", () =>
    fleet.store.asSystem(async (tx) => {
      const expected = schedulesOf(fleet).map(({ id, everyMs }) => ({ name: id, periodMs: everyMs }));
      await syncExpectedChecks(tx, expected);
      const open = new Set((await listOpenAlerts(tx, ALERT_KINDS)).map(({ key }) => key));
      const watch: Watch = { fleet, tx, owner: { tenantId: SYSTEM_TENANT, operatorId }, open };
      await watchLoad(watch);
      await watchChecks(watch);
      await watchDenials(watch);
    }),
  );
  fleet.kickRelay();
}

async function watchLoad({ fleet, tx, owner, open }: Watch): Promise<void> {
  const load = await measureSlotQueue(tx);
  const limits = fleet.settings.governance.overload;
  const decision = decideOverload(load, limits, { isOpen: open.has(OVERLOAD) });
  const minutes = Math.floor(load.oldestMs / 60_000);
  const summary = `${load.waiting} tasks wait for a host, the longest for ${minutes} min`;
  const alert = { ...owner, key: OVERLOAD, subject: "fleet", summary, facts: { ...load, ...limits } };
  if (decision === "raise") await raiseAlert(fleet, tx, "FLEET_OVERLOAD", alert);
  if (decision === "end") await endAlert(fleet, tx, "FLEET_OVERLOAD", OVERLOAD);
}

async function watchChecks({ fleet, tx, owner }: Watch): Promise<void> {
  const overdue = (await readCheckStatuses(fleet, tx)).filter((check) => check.isOverdue);
  const alerts = overdue.map(({ name, periodMs, ageMs, lastGoodAt }) => {
    const [every, since] = [Math.round(periodMs / 1_000), Math.round(ageMs / 1_000)];
    const summary = `check ${name} is overdue: it should run every ${every} s, but last ran ${since} s ago`;
    const facts = { check: name, periodMs, ageMs, lastGoodAt: lastGoodAt?.toISOString() ?? null };
    return Object.assign({ key: CHECK + name, subject: name, summary, facts }, owner);
  });
  await syncAlerts(fleet, tx, CHECK, alerts);
}

/** An operator, or a program of theirs, keeps sending requests that are denied. */
async function watchDenials({ fleet, tx, owner, open }: Watch): Promise<void> {
  const { spawns, minutes } = fleet.settings.governance.denials;
  const from = (await getNextAuditId(tx)) - MAX_SCANNED;
  const found = await listDenials(tx, { from, minutes });
  const denials = new Map(found.map(({ operatorId, refused }) => [DENIED + operatorId, refused]));
  for (const key of new Set([...denials.keys(), ...open].filter((name) => name.startsWith(DENIED)))) {
    const [refused, operator] = [denials.get(key) ?? 0, key.slice(DENIED.length)];
    const decision = decideBurst(refused, spawns, { isOpen: open.has(key) });
    const summary = `operator ${operator} was denied ${refused} spawns within ${minutes} min`;
    const alert = { ...owner, key, subject: operator, summary, facts: { operator, refused, spawns, minutes } };
    if (decision === "raise") await raiseAlert(fleet, tx, "GOVERNANCE_ALERT", alert);
    if (decision === "end") await endAlert(fleet, tx, "GOVERNANCE_ALERT", key);
  }
}
