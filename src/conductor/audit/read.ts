/** Reading the audit log: the latest entries by filter; and all entries, chain by chain, for export. */
import type { Operator } from "../../domain/operator.ts";
import {
  findEntryTimeBefore,
  listChainRecords,
  listChains,
  listAuditRecords,
  listExportRecords,
  getNextAuditId,
  type AuditFilter,
} from "../../store/audit-reading.ts";
import { auditBy } from "../../store/operators.ts";
import type { Fleet } from "../fleet.ts";
import { getTaskNamed } from "../tasks/find.ts";
import type { AuditRecord } from "../../domain/audit/audit.ts";
import { type Principal, SYSTEM, asOperator } from "../../store/principal.ts";

/** Entries scanned per statement, and statements per request: a rare filter returns a short page with a cursor. */
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
  /** The cursor of the next page; undefined when there is none. A short page may still have a next one. */
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

/** Ids follow the order of writing, times the beginning of the transaction, so times may run back by a little. */
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
  /** The last entry of the page before. */
  readonly after?: { readonly chain: string; readonly seq: number } | undefined;
  readonly limit: number;
}

export interface ExportPage {
  readonly entries: readonly AuditRecord[];
  readonly next: { readonly chain: string; readonly seq: number } | undefined;
}

/**
 * Exports chain by chain rather than by time: an entry is visible only together with all before it in its chain, so concurrent
 * writes leave no gap; and a verifier of the export needs to remember one chain only.
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
    // A full export is audited, also because retention checks for one before it drops a month.
    if (!end && isFullExport(by, query)) {
      await auditBy(tx, by, "audit.exported", {});
    }
    return { entries, next: end ? { chain: end, seq: MAX_SEQ } : undefined };
  });
}

function isFullExport(by: Operator, { task, all, since, until }: AuditExportQuery): boolean {
  return by.role === "admin" && all === true && !task && !since && !until;
}

/** After the last entry of any chain: the largest integer of PostgreSQL. */
const MAX_SEQ = 2_147_483_647;

/** Their own acts and tasks; an admin's tenant, or every tenant when asked. */
function auditVisibleTo(by: Operator, { all = false }: { readonly all?: boolean | undefined }): Principal {
  if (by.role !== "admin") return { ...tenantPrincipal(by), scope: "operator" };
  return all ? SYSTEM : tenantPrincipal(by);
}

/** The entries of a task are its history, which its whole tenant may read. */
function taskAuditVisibleTo(by: Operator): Principal {
  return by.role === "admin" ? SYSTEM : asOperator(by);
}

function tenantPrincipal(by: Operator): Extract<Principal, { role: "fleet_app" }> {
  return { role: "fleet_app", tenantId: by.tenantId, operatorId: by.id, scope: "tenant" };
}
