/** The drift report: a document for people and scripts. The API returns it, and every scan of a product stores one as evidence. */
import { z } from "zod";
import { shortId } from "../task/task.ts";
import { DriftSeverity, Finding, type NotChecked } from "./finding.ts";

export const DriftStatus = z.enum(["open", "accepted", "gone"]);
export type DriftStatus = z.infer<typeof DriftStatus>;

export const DriftFinding = z.strictObject({
  finding_id: z.uuid(),
  short_id: z.string().meta({ description: "the argument of fleet drift accept" }),
  subject: z.string().meta({ description: "product:<id>, schedules, database, roster:<name> or host:<id>" }),
  what: z.string(),
  product_id: z.string().nullable(),
  declared: z.string().nullable().meta({ description: "as declared, recorded or accepted; null: should not exist" }),
  actual: z.string().nullable().meta({ description: "as found; null: does not exist" }),
  severity: DriftSeverity,
  since: z.iso.datetime().meta({ description: "when it was first seen" }),
  seen_at: z.iso.datetime(),
  command: z.string().nullable().meta({ description: "the command to run next" }),
  host: z.string().nullable(),
  status: DriftStatus,
  accepted: z.strictObject({ by: z.string(), reason: z.string(), at: z.iso.datetime() }).nullable(),
});
export type DriftFinding = z.infer<typeof DriftFinding>;

export const DriftReportDocument = z
  .strictObject({
    schema_version: z.literal(1),
    tenant_id: z.string(),
    product_id: z.string().nullable().meta({ description: "null: all products and the fleet itself" }),
    looked_at: z.iso
      .datetime()
      .nullable()
      .meta({ description: "when the oldest scan it is based on ran; null: something was never scanned" }),
    counts: z.strictObject({ open: z.int(), high: z.int(), medium: z.int(), low: z.int() }),
    findings: z.array(DriftFinding).meta({ description: "ordered by severity, then by age" }),
    not_checked: z.array(z.strictObject({ what: z.string(), why: z.string() })),
  })
  .meta({ id: "drift_report", description: "What differs from what is declared, recorded or accepted" });
export type DriftReportDocument = z.infer<typeof DriftReportDocument>;

export interface ReportedFinding {
  readonly id: string;
  readonly subject: string;
  readonly what: string;
  readonly productId: string | null;
  readonly declared: string | null;
  readonly actual: string | null;
  readonly severity: DriftSeverity;
  readonly command: string | null;
  readonly host: string | null;
  readonly status: DriftStatus;
  readonly since: Date;
  readonly seenAt: Date;
  readonly accepted: { readonly by: string; readonly reason: string; readonly at: string } | null;
}

export interface DriftReportOptions {
  readonly tenantId: string;
  readonly productId?: string | undefined;
  readonly lookedAt: Date | undefined;
  readonly notChecked: readonly NotChecked[];
}

/** What Fleetwright cannot check yet. Every report lists it. */
const NEVER_CHECKED: readonly NotChecked[] = [
  {
    what: "protection of the default branch, and its required checks",
    why: "the local forge has no branch protection; only a forge such as GitHub has",
  },
  { what: "digest of the container image", why: "agents and orders run without containers" },
  { what: "start of roster agents at boot", why: "Fleetwright does not install a service on the machine yet" },
];

export function driftReport(findings: readonly ReportedFinding[], options: DriftReportOptions): DriftReportDocument {
  const open = findings.filter(({ status }) => status === "open");
  const count = (severity: DriftSeverity) => open.filter((finding) => finding.severity === severity).length;
  return {
    schema_version: 1,
    tenant_id: options.tenantId,
    product_id: options.productId ?? null,
    looked_at: options.lookedAt?.toISOString() ?? null,
    counts: { open: open.length, high: count("high"), medium: count("medium"), low: count("low") },
    findings: findings.map((finding) => toDriftFinding(finding)),
    not_checked: [...options.notChecked, ...NEVER_CHECKED].map(({ what, why }) => ({ what, why })),
  };
}

export function toDriftFinding(finding: ReportedFinding): DriftFinding {
  const { id, subject, what, declared, actual, severity, command, host, status, accepted } = finding;
  return {
    finding_id: id,
    short_id: shortId(id),
    subject,
    what,
    product_id: finding.productId,
    declared,
    actual,
    severity,
    since: finding.since.toISOString(),
    seen_at: finding.seenAt.toISOString(),
    command,
    host,
    status,
    accepted: accepted && { by: accepted.by, reason: accepted.reason, at: new Date(accepted.at).toISOString() },
  };
}

/** The CloudEvents 1.0 event for the new findings of one scan. */
export const DriftEvent = z.object({
  specversion: z.literal("1.0"),
  id: z.string(),
  source: z.literal("/fleetwright/drift"),
  type: z.literal("fleet.drift.found"),
  time: z.iso.datetime(),
  datacontenttype: z.literal("application/json"),
  tenantid: z.string(),
  data: z.object({
    operatorId: z.string(),
    count: z.int().min(1),
    /** The first findings, at most MAX_EVENT_FINDINGS. */
    findings: z.array(
      z.object({
        id: z.uuid(),
        subject: z.string(),
        what: z.string(),
        severity: DriftSeverity,
        since: z.iso.datetime(),
      }),
    ),
  }),
});
export type DriftEvent = z.infer<typeof DriftEvent>;

export const DRIFT_EVENT_DESCRIPTION = "A scan found a new difference from the declared, recorded or accepted state";

/** A scan may find thousands; the API returns all of them. */
const MAX_EVENT_FINDINGS = 50;

export function driftEvent(
  scanId: string,
  fresh: readonly ReportedFinding[],
  { tenantId, operatorId, at }: { readonly tenantId: string; readonly operatorId: string; readonly at: Date },
): DriftEvent {
  const findings = fresh.slice(0, MAX_EVENT_FINDINGS).map(({ id, subject, what, severity, since }) => {
    return { id, subject, what, severity, since: since.toISOString() };
  });
  return {
    specversion: "1.0",
    id: `${scanId}.fleet.drift.found`,
    source: "/fleetwright/drift",
    type: "fleet.drift.found",
    time: at.toISOString(),
    datacontenttype: "application/json",
    tenantid: tenantId,
    data: { operatorId, count: fresh.length, findings },
  };
}

const MAX_MESSAGE_FINDINGS = 5;

/** Summarises the new findings in one line for people. */
export function driftMessage(fresh: readonly ReportedFinding[]): string {
  const named = fresh.slice(0, MAX_MESSAGE_FINDINGS).map(({ subject, what }) => `${subject} ${what}`);
  const more = fresh.length > named.length ? ` and ${fresh.length - named.length} more` : "";
  return `${fresh.length} new: ${named.join(", ")}${more}`;
}

export const Drift = Finding.extend({
  id: z.uuid(),
  tenantId: z.string(),
  operatorId: z.string(),
  status: DriftStatus,
  since: z.date(),
  seenAt: z.date(),
  accepted: z.object({ by: z.string(), reason: z.string(), at: z.string() }).nullable(),
});
export type Drift = z.infer<typeof Drift>;
