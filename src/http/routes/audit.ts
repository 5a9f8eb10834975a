/** GET /audit and /audit/export: entries of the audit log, newest first; or all of them, chain by chain. */
import { z } from "zod";
import { exportAudit, readAudit } from "../../conductor/audit/read.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { FleetError } from "../../domain/errors.ts";
import { AuditEntryView, viewAuditEntry } from "../../views/audit.ts";
import { pageOf } from "../../views/page.ts";
import { defineRoute } from "../route.ts";
import { AllTenants } from "./params.ts";

const sharedQuery = {
  cursor: z.string().max(512).optional().meta({ description: "`nextCursor` of the previous page" }),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  task: z
    .string()
    .min(2)
    .max(64)
    .optional()
    .meta({ description: "Only entries of this task; its id or a prefix of it" }),
  since: z.iso.datetime({ offset: true }).optional(),
  all: AllTenants,
};

const AuditQuery = z.strictObject({
  ...sharedQuery,
  operator: z.string().min(1).max(128).optional(),
  act: z
    .string()
    .regex(/^[a-z0-9_.-]{1,64}$/, "must be an action such as key.rotated, or a prefix of one")
    .optional()
    .meta({ description: "The action or a prefix of it: `key` finds key.rotated" }),
});

const ExportQuery = z.strictObject({ ...sharedQuery, until: z.iso.datetime({ offset: true }).optional() });

const toDate = (text: string | undefined) => (text === undefined ? undefined : new Date(text));

export const auditEntriesRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/audit",
    tier: "observer",
    summary: "Audit entries, newest first: of your own actions and tasks; of the whole tenant for role admin",
    description:
      "Each request reads a bounded part of the log, so a page may be short or empty and still have a `nextCursor`.",
    query: AuditQuery,
    reply: pageOf(AuditEntryView),
    errors: ["task-not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, query }) => {
    const { cursor, since, operator: operatorId, ...rest } = query;
    const { entries, next } = await readAudit(fleet, operator, {
      ...rest,
      operatorId,
      since: toDate(since),
      before: cursor === undefined ? undefined : parseIdCursor(cursor),
    });
    return { body: { items: entries.map(viewAuditEntry), nextCursor: next === undefined ? null : String(next) } };
  },
);

export const exportAuditRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/audit/export",
    tier: "observer",
    summary: "All entries that you may see, chain by chain, with what is needed to verify the chains elsewhere",
    query: ExportQuery,
    reply: pageOf(AuditEntryView),
    errors: ["task-not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, query }) => {
    const { cursor, since, until, ...rest } = query;
    const { entries, next } = await exportAudit(fleet, operator, {
      ...rest,
      since: toDate(since),
      until: toDate(until),
      after: cursor === undefined ? undefined : parseExportCursor(cursor),
    });
    return { body: { items: entries.map(viewAuditEntry), nextCursor: next ? `${next.seq}@${next.chain}` : null } };
  },
);

const IdText = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER);

function parseIdCursor(cursor: string): number {
  const id = IdText.safeParse(cursor);
  if (id.success) return id.data;
  throw invalidCursor();
}

/** `<seq>@<chain>`, so that an export can be resumed after the last line of its file. */
const EXPORT_CURSOR = /^(?<seq>\d{1,10})@(?<chain>(?:task:[0-9a-f-]{36}|operator:[A-Za-z0-9][A-Za-z0-9._@-]{0,127}))$/;

function parseExportCursor(cursor: string): { chain: string; seq: number } {
  const { seq, chain } = EXPORT_CURSOR.exec(cursor)?.groups ?? {};
  if (seq === undefined || chain === undefined || Number(seq) > 2_147_483_647) throw invalidCursor();
  return { chain, seq: Number(seq) };
}

function invalidCursor(): FleetError {
  return new FleetError("invalid-input", "The cursor is not valid. Use nextCursor of the previous page.");
}
