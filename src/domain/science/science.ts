/** Research dossiers: their front matter, their status, and the design they were handed off to. */
import { z } from "zod";
import { toStorable } from "../text/untrusted.ts";

export const DossierStatus = z.enum(["proposed", "running", "validated", "rejected", "handed_off"]);
export type DossierStatus = z.infer<typeof DossierStatus>;

/** A problem in a file, and its line. */
export const DossierProblem = z.object({ line: z.int().nullable(), message: z.string() });
export type DossierProblem = z.infer<typeof DossierProblem>;

/** Text from anyone who may push, so it is bounded, put on one line and made storable. */
const boundedText = (maxChars: number) =>
  z
    .string({ error: (issue) => (issue.input === undefined ? "is missing" : "must be text: put it in quotes") })
    .transform((text) => toStorable(text).replaceAll(/\s+/g, " ").trim())
    .refine((text) => text !== "", "is empty")
    .refine((text) => text.length <= maxChars, `is longer than ${maxChars} characters`);

const Link = boundedText(2_000);

/** Further keys belong to the author and are ignored. */
export const DossierHead = z.object({
  dossier_id: z
    .union([z.string(), z.int().transform(String)], {
      error: (issue) => (issue.input === undefined ? "is missing" : "must be text"),
    })
    .refine((id) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(id), "must be letters, digits, dots, - or _ (at most 64)"),
  topic: boundedText(300),
  status: z.enum(DossierStatus.options, {
    error: (issue) => (issue.input === undefined ? "is missing" : `must be one of ${DossierStatus.options.join(", ")}`),
  }),
  created_at: z
    .union([z.iso.date(), z.iso.datetime({ offset: true })], {
      error: (issue) => (issue.input === undefined ? "is missing" : "must be a date such as 2026-01-31"),
    })
    .transform((at) => new Date(at)),
  owner: boundedText(200),
  hypothesis: boundedText(4_000),
  evidence: z
    .union([Link.transform((link) => [link]), z.array(Link).max(64)], { error: "must be a list of links (at most 64)" })
    .nullish()
    .transform((links) => links ?? []),
});
export type DossierHead = z.infer<typeof DossierHead>;

export type ParsedDossier =
  | { readonly ok: true; readonly head: DossierHead }
  | { readonly ok: false; readonly problems: readonly DossierProblem[] };

/** `lineOf` returns the line of a key in the file. */
export function parseDossierHead(value: unknown, lineOf: (key: string) => number | null): ParsedDossier {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return {
      ok: false,
      problems: [{ line: lineOf(""), message: "the front matter is not a list of keys and values" }],
    };
  }
  const parsed = DossierHead.safeParse(value);
  if (parsed.success) return { ok: true, head: parsed.data };
  const problems = parsed.error.issues.map(({ path, message }) => {
    const key = String(path[0] ?? "");
    return { line: lineOf(key), message: `${path.join(".")} ${message}` };
  });
  return { ok: false, problems };
}

const DAY_MS = 24 * 3_600_000;
/** A dossier that stays in a status for longer than this needs attention. */
const STUCK_DAYS: Readonly<Partial<Record<DossierStatus, number>>> = { validated: 7, running: 30 };

export interface DossierState {
  readonly status: DossierStatus | null;
  readonly statusSince: Date;
  /** Fleetwright created a design from it. */
  readonly isHandedOff: boolean;
}

/** Returns the status in the file, or "handed_off" when a design was created from it since. */
export function effectiveStatus({ status, isHandedOff }: DossierState): DossierStatus | null {
  return isHandedOff && status === "validated" ? "handed_off" : status;
}

/** Returns why it needs attention; null when it does not. */
export function stuckReason(dossier: DossierState, now: Date): string | null {
  const status = effectiveStatus(dossier);
  const maxDays = status && STUCK_DAYS[status];
  if (maxDays === null || maxDays === undefined) return null;
  const days = Math.floor((now.getTime() - dossier.statusSince.getTime()) / DAY_MS);
  if (days <= maxDays) return null;
  return status === "validated" ? `validated for ${days} days without a design` : `${status} for ${days} days`;
}

export const DesignRef = z.object({ run_id: z.uuid(), artifact: z.string() });

export const Dossier = z.object({
  tenantId: z.string(),
  operatorId: z.string(),
  productId: z.string(),
  path: z.string(),
  dossierId: z.string().nullable(),
  topic: z.string().nullable(),
  /** The status in the file; null when the file cannot be read. */
  status: DossierStatus.nullable(),
  owner: z.string().nullable(),
  hypothesis: z.string().nullable(),
  evidence: z.array(z.string()),
  writtenAt: z.date().nullable(),
  commitSha: z.string(),
  problems: z.array(DossierProblem).nullable(),
  /** The design that Fleetwright created from it. */
  design: DesignRef.nullable(),
  orderId: z.uuid().nullable(),
  statusSince: z.date(),
  seenAt: z.date(),
});
export type Dossier = z.infer<typeof Dossier>;
