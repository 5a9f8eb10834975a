/**
 * Self-monitoring: every process checks on its own timer, so that a scheduler that lost its jobs, or the loss of all workers,
 * is noticed too. One check at a time in the whole fleet; each episode is reported once.
 */
import type { AlertKind } from "../../domain/notify/alert.ts";
import { decideBurst, decideOverload } from "../../domain/monitor/self-monitoring.ts";
import { listOpenAlerts, type Alert } from "../../store/alerts.ts";
import { getNextAuditId } from "../../store/audit-reading.ts";
import { listDenials } from "../../store/audit.ts";
import { measureSlotQueue, syncExpectedChecks } from "../../store/checks.ts";
import type { Tx } from "../../store/sql.ts";
import { endAlert, raiseAlert } from "./alerts.ts";
import { watchBudgets } from "./budgets.ts";
import { readCheckStatuses, schedulesOf } from "./checks.ts";
import type { Fleet } from "../fleet.ts";
import { ensureSystemOperator, SYSTEM_TENANT } from "../system.ts";

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

/** One check; it does nothing while another process checks. */
export async function watchFleet(fleet: Fleet): Promise<void> {
  await watchBudgets(fleet);
  const system = await ensureSystemOperator(fleet, SYSTEM_TENANT);
  const reported = await fleet.store.tryWithLock("watch-fleet", () =>
    fleet.store.asSystem(async (tx) => {
      const expected = schedulesOf(fleet).map(({ id, everyMs }) => ({ name: id, periodMs: everyMs }));
      await syncExpectedChecks(tx, expected);
      const reporter = new AlertReporter(fleet, tx, system.id, await listOpenAlerts(tx, ALERT_KINDS));
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
  const decision = decideOverload(load, limits, reporter.isOpen(OVERLOAD));
  const minutes = Math.floor(load.oldestMs / 60_000);
  const summary = `${load.waiting} tasks wait for a host, the longest for ${minutes} min`;
  if (decision === "raise") {
    await reporter.raise("FLEET_OVERLOAD", { key: OVERLOAD, subject: "fleet", summary, facts: { ...load, ...limits } });
  }
  if (decision === "end") await reporter.end("FLEET_OVERLOAD", OVERLOAD);
}

async function watchChecks(fleet: Fleet, tx: Tx, reporter: AlertReporter): Promise<void> {
  const late = (await readCheckStatuses(fleet, tx)).filter((check) => check.isOverdue);
  for (const { name, periodMs, ageMs, lastGoodAt } of late) {
    const [every, since] = [Math.round(periodMs / 1_000), Math.round(ageMs / 1_000)];
    const summary = `check ${name} is overdue: it should run every ${every} s, but last ran ${since} s ago`;
    const facts = { check: name, periodMs, ageMs, lastGoodAt: lastGoodAt?.toISOString() ?? null };
    await reporter.raise("GOVERNANCE_ALERT", { key: CHECK + name, subject: name, summary, facts });
  }
  const keys = new Set(late.map(({ name }) => CHECK + name));
  for (const key of reporter.open(CHECK)) if (!keys.has(key)) await reporter.end("GOVERNANCE_ALERT", key);
}

/** An operator, or a program of theirs, keeps sending requests that are denied. */
async function watchDenials(fleet: Fleet, tx: Tx, reporter: AlertReporter): Promise<void> {
  const { spawns, minutes } = fleet.settings.governance.denials;
  const from = (await getNextAuditId(tx)) - MAX_SCANNED;
  const found = await listDenials(tx, { from, minutes });
  const denials = new Map(found.map(({ operatorId, refused }) => [DENIED + operatorId, refused]));
  for (const key of new Set([...denials.keys(), ...reporter.open(DENIED)])) {
    const [refused, operator] = [denials.get(key) ?? 0, key.slice(DENIED.length)];
    const decision = decideBurst(refused, spawns, reporter.isOpen(key));
    const summary = `operator ${operator} was denied ${refused} spawns within ${minutes} min`;
    const facts = { operator, refused, spawns, minutes };
    if (decision === "raise") await reporter.raise("GOVERNANCE_ALERT", { key, subject: operator, summary, facts });
    if (decision === "end") await reporter.end("GOVERNANCE_ALERT", key);
  }
}

/** Raises and ends alerts, and knows which are open. */
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
