/** Reading the audit log: lately, by filter; and all of it, chain by chain, as it is taken out of the house. */
import type { Operator } from "../../domain/operator.ts";
import {
  findEntryTimeBefore,
  listChainRecords,
  listChains,
  listAuditRecords,
  listExportRecords,
  getNextAuditId,
  type AuditFilter,
  type AuditRecord,
} from "../../store/audit-reading.ts";
import { auditBy } from "../../store/operators.ts";
import type { Fleet } from "../fleet.ts";
import { getTaskNamed } from "../tasks/find.ts";
import { type Principal, SYSTEM, asOperator } from "../../store/principal.ts";

/** Looked at by one statement, and by one request: whoever has few entries among many goes on from there. */
const WINDOW = 20_000;
const MAX_WINDOWS = 25;
const CHAIN_BATCH = 200;

export interface AuditQuery extends AuditFilter {
  readonly task?: string | undefined;
  readonly all?: boolean | undefined;
  /** Entries before this one. */
  readonly before?: number | undefined;
  readonly limit: number;
}

export interface AuditPage {
  readonly entries: readonly AuditRecord[];
  /** Where the next page begins; undefined when there is none. A page may be short and yet have a next one. */
  readonly next: number | undefined;
}

/** Newest first. */
export async function readAudit(fleet: Fleet, by: Operator, query: AuditQuery): Promise<AuditPage> {
  return query.task === undefined ? readByTime(fleet, by, query) : readTaskEntries(fleet, by, query.task, query);
}

async function readTaskEntries(fleet: Fleet, by: Operator, task: string, query: AuditQuery): Promise<AuditPage> {
  const { before = Number.MAX_SAFE_INTEGER, limit } = query;
  const { id } = await getTaskNamed(fleet, by, task);
  const entries = await fleet.store.transaction(taskAuditVisibleTo(by), (tx) =>
    listChainRecords(tx, `task:${id}`, query, { before, limit }),
  );
  return { entries, next: entries.length === limit ? entries.at(-1)?.id : undefined };
}

async function readByTime(fleet: Fleet, by: Operator, query: AuditQuery): Promise<AuditPage> {
  const { all, before, limit, since } = query;
  const entries: AuditRecord[] = [];
  let upTo = before ?? (await fleet.store.asSystem((tx) => getNextAuditId(tx)));
  for (let windows = 0; windows < MAX_WINDOWS && upTo > 1; windows += 1) {
    const range = { from: Math.max(1, upTo - WINDOW), before: upTo, limit: limit - entries.length };
    entries.push(
      ...(await fleet.store.transaction(auditVisibleTo(by, { all }), (tx) => listAuditRecords(tx, query, range))),
    );
    if (entries.length >= limit) return { entries, next: entries.at(-1)?.id };
    upTo = range.from;
    if (since && (await isOlderThan(fleet, upTo, since))) return { entries, next: undefined };
  }
  return { entries, next: upTo > 1 ? upTo : undefined };
}

/** Entries are numbered as they are written and timed as their transaction began: a little later than its first one. */
const SLACK_MS = 3_600_000;

async function isOlderThan(fleet: Fleet, before: number, since: Date): Promise<boolean> {
  const at = await fleet.store.asSystem((tx) => findEntryTimeBefore(tx, before));
  return at === undefined || at.getTime() < since.getTime() - SLACK_MS;
}

export interface AuditExportQuery {
  readonly task?: string | undefined;
  readonly all?: boolean | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** Behind this entry. */
  readonly after?: { readonly chain: string; readonly seq: number } | undefined;
  readonly limit: number;
}

export interface ExportPage {
  readonly entries: readonly AuditRecord[];
  readonly next: { readonly chain: string; readonly seq: number } | undefined;
}

/**
 * Chain by chain and not by time: an entry is seen only with all before it in its chain, so what is written meanwhile
 * leaves no gap; and who checks it later needs to remember one chain only.
 */
export async function exportAudit(fleet: Fleet, by: Operator, query: AuditExportQuery): Promise<ExportPage> {
  const { task, all, after = { chain: "", seq: 0 }, limit, since, until } = query;
  const only = task && `task:${(await getTaskNamed(fleet, by, task)).id}`;
  return fleet.store.transaction(only ? taskAuditVisibleTo(by) : auditVisibleTo(by, { all }), async (tx) => {
    const nextChains = only ? [] : await listChains(tx, after.chain, CHAIN_BATCH);
    const currentChain = only ?? after.chain;
    const chains = currentChain ? [currentChain, ...nextChains] : nextChains;
    const entries = await listExportRecords(tx, chains, { after, since, until, limit });
    const last = entries.at(-1);
    if (last && entries.length === limit) return { entries, next: { chain: last.chain, seq: last.seq } };
    const end = nextChains.length === CHAIN_BATCH ? nextChains.at(-1) : undefined;
    // Whoever has all that was ever done here has taken it along; retention asks for it, too.
    if (!end && isFullExport(by, query)) {
      await auditBy(tx, by, "audit.exported", {});
    }
    return { entries, next: end ? { chain: end, seq: MAX_SEQ } : undefined };
  });
}

function isFullExport(by: Operator, { task, all, since, until }: AuditExportQuery): boolean {
  return by.role === "admin" && all === true && !task && !since && !until;
}

/** Behind the last entry of any chain: an integer of PostgreSQL. */
const MAX_SEQ = 2_147_483_647;

/** Their own acts and tasks; an admin's tenant, or every tenant when asked. */
function auditVisibleTo(by: Operator, { all = false }: { readonly all?: boolean | undefined }): Principal {
  if (by.role !== "admin") return { ...tenantPrincipal(by), scope: "operator" };
  return all ? SYSTEM : tenantPrincipal(by);
}

/** A task's entries are its story, which the tenant may read. */
function taskAuditVisibleTo(by: Operator): Principal {
  return by.role === "admin" ? SYSTEM : asOperator(by);
}

function tenantPrincipal(by: Operator): Extract<Principal, { role: "fleet_app" }> {
  return { role: "fleet_app", tenantId: by.tenantId, operatorId: by.id, scope: "tenant" };
}
