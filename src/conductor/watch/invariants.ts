/** The invariants, as a library for `fleet invariants`, for the scheduled job that raises alerts, and for tests. */
import { SLOT_HOLDING_STATUSES, TERMINAL_STATUSES, VALID_TRANSITIONS } from "../../domain/task/task.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import * as broken from "../../store/invariants.ts";
import type { Tx } from "../../store/sql.ts";
import { syncAlerts } from "./alerts.ts";
import { verifyAudit } from "../audit/verify.ts";
import type { Fleet } from "../fleet.ts";
import { SYSTEM } from "../../store/principal.ts";
import { ensureSystemOperator } from "../scope.ts";

export interface InvariantVerdict {
  readonly id: string;
  readonly statement: string;
  /** Null when it could not be checked here. */
  readonly holds: boolean | null;
  readonly violations: readonly string[];
}

interface Invariant {
  readonly id: string;
  readonly statement: string;
  readonly violations: (tx: Tx, fleet: Fleet) => Promise<readonly string[]>;
}

/** A task or an outbox row may wait this long before a worker should have handled it. */
const RECOVERY_MS = 60_000;

const STORE_INVARIANTS: readonly Invariant[] = [
  {
    id: "INV-014",
    statement: "no operator holds more slots than their tier allows",
    violations: (tx, fleet) => broken.listOverTierSlots(tx, fleet.settings.tiers),
  },
  {
    id: "INV-015",
    statement: "every live agent process has a row that was written before it started",
    violations: (tx) => broken.listUnregisteredAgents(tx),
  },
  {
    id: "INV-016",
    statement: "every terminal task has an audit entry for its terminal transition",
    violations: (tx) => broken.listUnauditedEnds(tx, TERMINAL_STATUSES),
  },
  {
    id: "INV-017",
    statement: "retry_count is never above max_retries",
    violations: (tx) => broken.listOverRetriedTasks(tx),
  },
  {
    id: "INV-018",
    statement: "every terminal task has a notification record",
    violations: (tx) => broken.listUnnotifiedEnds(tx, TERMINAL_STATUSES),
  },
  {
    id: "R1",
    statement: "every accepted task is terminal, or has a job or a host that will move it on",
    violations: (tx) => broken.listStrandedTasks(tx, RECOVERY_MS),
  },
  {
    id: "R2",
    statement: "no earlier attempt of a task stays open while the agent of its current attempt is alive",
    violations: (tx) => broken.listDuplicateAttempts(tx, RECOVERY_MS),
  },
  {
    id: "R3",
    statement: "each effect happens once: one open pull request per branch, one verdict per reviewer and round",
    violations: (tx) => broken.listDuplicateEffects(tx),
  },
  {
    id: "R6",
    statement: "the slot counter equals the number of tasks that hold a slot",
    violations: (tx) => broken.listSlotMismatches(tx, SLOT_HOLDING_STATUSES),
  },
  {
    id: "R8",
    statement: "no outbox row waits too long, and none is dead",
    violations: (tx) => broken.listStuckOutboxRows(tx, RECOVERY_MS),
  },
  {
    id: "R12",
    statement: "statuses change only as the table of transitions allows",
    violations: (tx) => broken.listIllegalTransitions(tx, VALID_TRANSITIONS),
  },
  {
    id: "R13",
    statement: "every requested order has a worker or a job, or has ended with a reason",
    violations: (tx) => broken.listAbandonedOrders(tx, RECOVERY_MS),
  },
];

/** Checks all of them. Those of the store are read in one transaction, so they describe one moment. */
export async function checkInvariants(fleet: Fleet): Promise<readonly InvariantVerdict[]> {
  const verdicts = await fleet.store.asSystem(async (tx) => {
    const list: InvariantVerdict[] = [];
    for (const { id, statement, violations } of STORE_INVARIANTS)
      list.push(verdict(id, statement, await violations(tx, fleet)));
    return list;
  });
  const audit = await verifyAudit(fleet, SYSTEM);
  const breaks = [
    ...audit.broken.map(({ taskId, seq, why }) => `${taskId} at entry ${seq}: ${why}`),
    ...(audit.checkpoint?.broken ?? []).map(({ id, why }) => `checkpoint ${id}: ${why}`),
  ];
  return [
    ...verdicts,
    verdict("R7", "audit chains verify without gaps and match the last signed checkpoint", breaks),
  ].toSorted((a, b) => a.id.localeCompare(b.id, "en", { numeric: true }));
}

function verdict(id: string, statement: string, violations: readonly string[]): InvariantVerdict {
  return { id, statement, holds: violations.length === 0, violations };
}

const ALERT_KEY_PREFIX = "invariant/";
const MAX_REPORTED = 5;

/**
 * The scheduled check: a broken invariant is logged as an error and raised as one GOVERNANCE_ALERT until it holds again.
 * Returns the summary that is stored with the check.
 */
export async function watchInvariants(fleet: Fleet): Promise<object> {
  const verdicts = await checkInvariants(fleet);
  const failing = verdicts.filter(({ holds }) => holds === false);
  for (const { id, statement, violations } of failing) {
    fleet.log.error(
      { event: "GOVERNANCE_ALERT", invariant: id, violations: violations.slice(0, 20) },
      `${id} does not hold: ${statement}`,
    );
  }
  const { id: operatorId } = await ensureSystemOperator(fleet, SYSTEM_TENANT);
  const alerts = failing.map(({ id, statement, violations }) => {
    const facts = { invariant: id, violations: violations.length, first: violations.slice(0, MAX_REPORTED) };
    const summary = `${id} does not hold: ${statement} (${violations.length})`;
    return { key: ALERT_KEY_PREFIX + id, tenantId: SYSTEM_TENANT, operatorId, subject: id, summary, facts };
  });
  await fleet.store.asSystem((tx) => syncAlerts(fleet, tx, ALERT_KEY_PREFIX, alerts));
  fleet.kickRelay();
  const violations = alerts.map(({ subject: id, facts }) => ({ id, count: facts.violations, first: facts.first }));
  return { checked: verdicts.length, violations };
}
