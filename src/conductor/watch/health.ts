/**
 * Who watches the watchers: every process looks by its own clock, so a scheduler that has lost its jobs, or workers that
 * are gone, are missed as well. One look at a time in the whole fleet; each episode is told once.
 */
import { isDeepStrictEqual } from "node:util";
import { fleetSchedules } from "../../../schedules/fleet.ts";
import type { NoticeKind } from "../../domain/notify/alert.ts";
import { decideBurst, decideOverload, isOverdue } from "../../domain/monitor/self-monitoring.ts";
import { listOpenAlerts, type Alert } from "../../store/alerts.ts";
import { nextAuditId } from "../../store/audit-reading.ts";
import { listDenials } from "../../store/audit.ts";
import { expectChecks, listChecks, listHostChecks, measureLine, recordCheck, type Check } from "../../store/checks.ts";
import type { Tx } from "../../store/sql.ts";
import { WORKER } from "../../store/store.ts";
import { endAlert, raiseAlert } from "./alerts.ts";
import { watchBudgets } from "./budgets.ts";
import { factoryOperator } from "../system-operator.ts";
import type { Fleet } from "../fleet.ts";
import { HOUSE_TENANT } from "../scope.ts";

const OVERLOAD = "overload";
const CHECK = "check/";
const DENIED = "denied/";
/** Of the newest entries of the audit log, at each look. */
const MOST_LOOKED_THROUGH = 10_000;

function schedulesOf({ tickMs, settings }: Fleet) {
  return fleetSchedules({ tickMs, planner: settings.planner });
}

/** Done by the clock, to its end: the check has run. Jobs that somebody asked for are none. */
export async function noteRun(
  fleet: Fleet,
  job: { readonly queue: string; readonly payload: unknown; readonly tookMs: number; readonly result?: object },
): Promise<void> {
  const schedule = schedulesOf(fleet).find(
    ({ queue, payload }) => queue.name === job.queue && isDeepStrictEqual(payload, job.payload),
  );
  if (!schedule) return;
  const { id: name, everyMs: periodMs } = schedule;
  const { tookMs, result } = job;
  await fleet.store.transaction(WORKER, (tx) =>
    recordCheck(tx, { name, periodMs, tookMs, worker: fleet.worker, ...(result ? { result } : {}) }),
  );
}

export interface SeenCheck extends Check {
  readonly isOverdue: boolean;
}

/** Every check that is expected, and whether it runs. */
export async function readChecks(fleet: Fleet): Promise<SeenCheck[]> {
  return fleet.store.transaction(WORKER, (tx) => seenChecks(fleet, tx));
}

async function seenChecks(fleet: Fleet, tx: Tx): Promise<SeenCheck[]> {
  const checks = [...(await listChecks(tx)), ...(await listHostChecks(tx, fleet.tickMs))];
  return checks.map((check) => Object.assign({ isOverdue: isOverdue(check) }, check));
}

export type HouseAlert = Alert;

/** What is wrong now, as it was told. */
export async function readAlerts(fleet: Fleet): Promise<HouseAlert[]> {
  return fleet.store.transaction(WORKER, (tx) => listOpenAlerts(tx, ["FLEET_OVERLOAD", "GOVERNANCE_ALERT"]));
}

/** One look; undefined when another process is at it. */
export async function watchHouse(fleet: Fleet): Promise<void> {
  await watchBudgets(fleet);
  const house = await factoryOperator(fleet, HOUSE_TENANT);
  const told = await fleet.store.exclusively("watch-house", () =>
    fleet.store.transaction(WORKER, async (tx) => {
      await expectChecks(
        tx,
        schedulesOf(fleet).map(({ id, everyMs }) => ({ name: id, periodMs: everyMs })),
      );
      const teller = new Teller(fleet, tx, house.id, await listOpenAlerts(tx, ["FLEET_OVERLOAD", "GOVERNANCE_ALERT"]));
      await watchLoad(fleet, tx, teller);
      await watchChecks(fleet, tx, teller);
      await watchDenials(fleet, tx, teller);
      return teller.told;
    }),
  );
  if (told) fleet.kickRelay();
}

async function watchLoad(fleet: Fleet, tx: Tx, teller: Teller): Promise<void> {
  const load = await measureLine(tx);
  const limits = fleet.settings.governance.overload;
  const decision = decideOverload(load, limits, teller.isOpen(OVERLOAD));
  const minutes = Math.floor(load.oldestMs / 60_000);
  const summary = `${load.waiting} wait for a host, the longest for ${minutes} min`;
  if (decision === "raise") {
    await teller.raise("FLEET_OVERLOAD", { key: OVERLOAD, subject: "fleet", summary, facts: { ...load, ...limits } });
  }
  if (decision === "end") await teller.end("FLEET_OVERLOAD", OVERLOAD);
}

async function watchChecks(fleet: Fleet, tx: Tx, teller: Teller): Promise<void> {
  const late = (await seenChecks(fleet, tx)).filter((check) => check.isOverdue);
  for (const { name, periodMs, ageMs, lastGoodAt } of late) {
    const [every, since] = [Math.round(periodMs / 1_000), Math.round(ageMs / 1_000)];
    const summary = `check ${name} does not run: every ${every} s it should, since ${since} s it has not`;
    const facts = { check: name, periodMs, ageMs, lastGoodAt: lastGoodAt?.toISOString() ?? null };
    await teller.raise("GOVERNANCE_ALERT", { key: CHECK + name, subject: name, summary, facts });
  }
  const keys = new Set(late.map(({ name }) => CHECK + name));
  for (const key of teller.open(CHECK)) if (!keys.has(key)) await teller.end("GOVERNANCE_ALERT", key);
}

/** Somebody, or a program of theirs, asks again and again for what they do not get. */
async function watchDenials(fleet: Fleet, tx: Tx, teller: Teller): Promise<void> {
  const { spawns, minutes } = fleet.settings.governance.denials;
  const from = (await nextAuditId(tx)) - MOST_LOOKED_THROUGH;
  const found = await listDenials(tx, { from, minutes });
  const denials = new Map(found.map(({ operatorId, refused }) => [DENIED + operatorId, refused]));
  for (const key of new Set([...denials.keys(), ...teller.open(DENIED)])) {
    const [refused, operator] = [denials.get(key) ?? 0, key.slice(DENIED.length)];
    const decision = decideBurst(refused, spawns, teller.isOpen(key));
    const summary = `operator ${operator} was refused ${refused} spawns within ${minutes} min`;
    const facts = { operator, refused, spawns, minutes };
    if (decision === "raise") await teller.raise("GOVERNANCE_ALERT", { key, subject: operator, summary, facts });
    if (decision === "end") await teller.end("GOVERNANCE_ALERT", key);
  }
}

/** Tells the house, and knows what is told already. */
class Teller {
  told = 0;
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
    kind: NoticeKind,
    notice: {
      readonly key: string;
      readonly subject: string;
      readonly summary: string;
      readonly facts: Readonly<Record<string, unknown>>;
    },
  ): Promise<void> {
    if (this.isOpen(notice.key)) return;
    const owner = { tenantId: HOUSE_TENANT, operatorId: this.operatorId };
    if (await raiseAlert(this.fleet, this.tx, kind, { ...owner, ...notice })) this.told += 1;
  }

  async end(kind: NoticeKind, key: string): Promise<void> {
    if (await endAlert(this.fleet, this.tx, kind, key)) this.told += 1;
  }
}
