/** The invariants, as a library: used by `fleet invariants`, by the scheduled job that alerts, by tests and by chaos. */
import { SLOT_HOLDING_STATUSES, TERMINAL_STATUSES, VALID_TRANSITIONS } from "../../domain/task/task.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import { listOpenAlerts } from "../../store/alerts.ts";
import * as broken from "../../store/invariants.ts";
import type { Tx } from "../../store/sql.ts";
import { endAlert, raiseAlert } from "./alerts.ts";
import { verifyAudit } from "../audit/verify.ts";
import { ensureSystemOperator } from "../system-operator.ts";
import type { Fleet } from "../fleet.ts";
import { SYSTEM } from "../../store/principal.ts";

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

/** A task may be between hands this long before somebody should have picked it up. */
const RECOVERY_MS = 60_000;

const STORE_INVARIANTS: readonly Invariant[] = [
  {
    id: "INV-014",
    statement: "no operator holds more slots than their tier allows",
    violations: (tx, fleet) => broken.listOverTierSlots(tx, fleet.settings.tiers),
  },
  {
    id: "INV-015",
    statement: "every live agent process has a registry row that was there before it",
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
    statement: "every accepted task is terminal, or somebody is due to move it on",
    violations: (tx) => broken.listStrandedTasks(tx, RECOVERY_MS),
  },
  {
    id: "R2",
    statement: "a task has at most one attempt that is not closed and is not its current one's past",
    violations: (tx) => broken.listDuplicateAttempts(tx, RECOVERY_MS),
  },
  {
    id: "R3",
    statement: "each effect is applied once: one open pull request per branch, one verdict per reviewer and round",
    violations: (tx) => broken.listDuplicateEffects(tx),
  },
  {
    id: "R6",
    statement: "the slot counter is the count of tasks that hold a slot",
    violations: (tx) => broken.listSlotMismatches(tx, SLOT_HOLDING_STATUSES),
  },
  {
    id: "R8",
    statement: "no outbox row waits for long, and none is dead",
    violations: (tx) => broken.listStuckOutboxRows(tx, RECOVERY_MS),
  },
  {
    id: "R12",
    statement: "states move only along the table of transitions",
    violations: (tx) => broken.listIllegalTransitions(tx, VALID_TRANSITIONS),
  },
  {
    id: "R13",
    statement: "every order that was asked for has somebody due to carry it out, or is over and says how",
    violations: (tx) => broken.listAbandonedOrders(tx, RECOVERY_MS),
  },
];

/** All of them, in one look. The store's are read in one transaction, so they speak of one moment. */
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
    verdict("R7", "audit chains verify, without gaps, and are as the last checkpoint signed them", breaks),
  ].toSorted((a, b) => a.id.localeCompare(b.id, "en", { numeric: true }));
}

function verdict(id: string, statement: string, violations: readonly string[]): InvariantVerdict {
  return { id, statement, holds: violations.length === 0, violations };
}

const ALERT_KEY_PREFIX = "invariant/";
const MAX_REPORTED = 5;

/**
 * The scheduled look: what does not hold is logged as an error, kept, and told as GOVERNANCE_ALERT, once until it holds
 * again. Answers with what is kept of it.
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
  await fleet.store.asSystem(async (tx) => {
    for (const { id, statement, violations } of failing) {
      const facts = { invariant: id, violations: violations.length, first: violations.slice(0, MAX_REPORTED) };
      const summary = `${id} does not hold: ${statement} (${violations.length})`;
      const notice = { key: ALERT_KEY_PREFIX + id, tenantId: SYSTEM_TENANT, operatorId, subject: id, summary, facts };
      await raiseAlert(fleet, tx, "GOVERNANCE_ALERT", notice);
    }
    const keys = new Set(failing.map(({ id }) => ALERT_KEY_PREFIX + id));
    for (const { key } of await listOpenAlerts(tx, ["GOVERNANCE_ALERT"])) {
      if (key.startsWith(ALERT_KEY_PREFIX) && !keys.has(key)) await endAlert(fleet, tx, "GOVERNANCE_ALERT", key);
    }
  });
  fleet.kickRelay();
  const reported = failing.map(({ id, violations }) => ({
    id,
    count: violations.length,
    first: violations.slice(0, MAX_REPORTED),
  }));
  return { checked: verdicts.length, violations: reported };
}
