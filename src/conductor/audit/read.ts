/** Reading the audit log: lately, by filter; and all of it, chain by chain, as it is taken out of the house. */
import type { Operator } from "../../domain/operator.ts";
import {
  findTimeBefore,
  listChainEntries,
  listChains,
  listEntries,
  listEntriesOf,
  nextAuditId,
  type AuditFilter,
  type ReadEntry,
} from "../../store/audit-reading.ts";
import { auditOperator } from "../../store/operators.ts";
import { requestBy, WORKER, type Behalf } from "../../store/store.ts";
import type { Fleet } from "../fleet.ts";
import { getTaskNamed } from "../tasks/find.ts";

/** Looked at by one statement, and by one request: whoever has few entries among many goes on from there. */
const WINDOW = 20_000;
const MOST_WINDOWS = 25;
const CHAINS_AT_ONCE = 200;

export interface AuditQuestion extends AuditFilter {
  readonly task?: string | undefined;
  readonly all?: boolean | undefined;
  /** Entries before this one. */
  readonly before?: number | undefined;
  readonly limit: number;
}

export interface AuditPage {
  readonly entries: readonly ReadEntry[];
  /** Where the next page begins; undefined when there is none. A page may be short and yet have a next one. */
  readonly next: number | undefined;
}

/** Newest first. */
export async function readAudit(fleet: Fleet, by: Operator, ask: AuditQuestion): Promise<AuditPage> {
  return ask.task === undefined ? readByTime(fleet, by, ask) : readTask(fleet, by, ask.task, ask);
}

async function readTask(fleet: Fleet, by: Operator, task: string, ask: AuditQuestion): Promise<AuditPage> {
  const { before = Number.MAX_SAFE_INTEGER, limit } = ask;
  const { id } = await getTaskNamed(fleet, by, task);
  const entries = await fleet.store.transaction(taskSight(by), (tx) =>
    listChainEntries(tx, `task:${id}`, ask, { before, limit }),
  );
  return { entries, next: entries.length === limit ? entries.at(-1)?.id : undefined };
}

async function readByTime(fleet: Fleet, by: Operator, ask: AuditQuestion): Promise<AuditPage> {
  const { all, before, limit, since } = ask;
  const entries: ReadEntry[] = [];
  let upTo = before ?? (await fleet.store.transaction(WORKER, (tx) => nextAuditId(tx)));
  for (let windows = 0; windows < MOST_WINDOWS && upTo > 1; windows += 1) {
    const range = { from: Math.max(1, upTo - WINDOW), before: upTo, limit: limit - entries.length };
    entries.push(...(await fleet.store.transaction(auditSight(by, all), (tx) => listEntries(tx, ask, range))));
    if (entries.length >= limit) return { entries, next: entries.at(-1)?.id };
    upTo = range.from;
    if (since && (await isPast(fleet, upTo, since))) return { entries, next: undefined };
  }
  return { entries, next: upTo > 1 ? upTo : undefined };
}

/** Entries are numbered as they are written and timed as their transaction began: a little later than its first one. */
const SLACK_MS = 3_600_000;

async function isPast(fleet: Fleet, before: number, since: Date): Promise<boolean> {
  const at = await fleet.store.transaction(WORKER, (tx) => findTimeBefore(tx, before));
  return at === undefined || at.getTime() < since.getTime() - SLACK_MS;
}

export interface ExportQuestion {
  readonly task?: string | undefined;
  readonly all?: boolean | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** Behind this entry. */
  readonly after?: { readonly chain: string; readonly seq: number } | undefined;
  readonly limit: number;
}

export interface ExportPage {
  readonly entries: readonly ReadEntry[];
  readonly next: { readonly chain: string; readonly seq: number } | undefined;
}

/**
 * Chain by chain and not by time: an entry is seen only with all before it in its chain, so what is written meanwhile
 * leaves no gap; and who checks it later needs to remember one chain only.
 */
export async function exportAudit(fleet: Fleet, by: Operator, ask: ExportQuestion): Promise<ExportPage> {
  const { task, all, after = { chain: "", seq: 0 }, limit, since, until } = ask;
  const only = task && `task:${(await getTaskNamed(fleet, by, task)).id}`;
  return fleet.store.transaction(only ? taskSight(by) : auditSight(by, all), async (tx) => {
    const further = only ? [] : await listChains(tx, after.chain, CHAINS_AT_ONCE);
    const begun = only ?? after.chain;
    const chains = begun ? [begun, ...further] : further;
    const entries = await listEntriesOf(tx, chains, { after, since, until, limit });
    const last = entries.at(-1);
    if (last && entries.length === limit) return { entries, next: { chain: last.chain, seq: last.seq } };
    const end = further.length === CHAINS_AT_ONCE ? further.at(-1) : undefined;
    // Whoever has all that was ever done here has taken it along; retention asks for it, too.
    if (!end && isWhole(by, ask)) {
      await auditOperator(tx, { operatorId: by.id, actor: by.id, action: "audit.exported", detail: {} });
    }
    return { entries, next: end ? { chain: end, seq: MOST_SEQ } : undefined };
  });
}

function isWhole(by: Operator, { task, all, since, until }: ExportQuestion): boolean {
  return by.role === "admin" && all === true && !task && !since && !until;
}

/** Behind the last entry of any chain: an integer of PostgreSQL. */
const MOST_SEQ = 2_147_483_647;

/** Their own acts and tasks; an admin's tenant, or every tenant when asked. */
function auditSight(by: Operator, all = false): Behalf {
  if (by.role !== "admin") return { ...appOf(by), scope: "operator" };
  return all ? WORKER : appOf(by);
}

/** A task's entries are its story, which the tenant may read. */
function taskSight(by: Operator): Behalf {
  return by.role === "admin" ? WORKER : requestBy(by);
}

function appOf(by: Operator): Extract<Behalf, { role: "fleet_app" }> {
  return { role: "fleet_app", tenantId: by.tenantId, operatorId: by.id, scope: "tenant" };
}
