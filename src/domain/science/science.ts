/** Research dossiers: what their front matter says, how far they are, and what they are handed to. */
import { z } from "zod";
import { toStorable } from "../text/untrusted.ts";

export const DossierStatus = z.enum(["proposed", "running", "validated", "rejected", "handed_off"]);
export type DossierStatus = z.infer<typeof DossierStatus>;

/** What is wrong with a file, and where. */
export const DossierProblem = z.object({ line: z.int().nullable(), message: z.string() });
export type DossierProblem = z.infer<typeof DossierProblem>;

/** Written by anybody who may push: bounded, on one line, storable. */
const boundedText = (maxChars: number) =>
  z
    .string({ error: (issue) => (issue.input === undefined ? "is missing" : "must be text: put it in quotes") })
    .transform((said) => toStorable(said).replaceAll(/\s+/g, " ").trim())
    .refine((said) => said !== "", "is empty")
    .refine((said) => said.length <= maxChars, `is longer than ${maxChars} characters`);

const Link = boundedText(2_000);

/** Further keys are the author's own, and stay in the file. */
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
      error: (issue) => (issue.input === undefined ? "is missing" : "must be a date, as 2026-01-31"),
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

/** `lineOf` says where a key stands in the file. */
export function parseDossierHead(value: unknown, lineOf: (key: string) => number | null): ParsedDossier {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { ok: false, problems: [{ line: lineOf(""), message: "the front matter is no list of keys and values" }] };
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
/** Work that nobody takes further after so long needs a look. */
const STUCK_DAYS: Readonly<Partial<Record<DossierStatus, number>>> = { validated: 7, running: 30 };

export interface DossierState {
  readonly status: DossierStatus | null;
  readonly statusSince: Date;
  /** It was handed to a design by this house. */
  readonly isHandedOff: boolean;
}

/** The file's own status, unless the house has handed it on meanwhile. */
export function effectiveStatus({ status, isHandedOff }: DossierState): DossierStatus | null {
  return isHandedOff && status === "validated" ? "handed_off" : status;
}

/** Why somebody should look at it; null when nothing is wrong. */
export function stuckReason(dossier: DossierState, now: Date): string | null {
  const status = effectiveStatus(dossier);
  const maxDays = status && STUCK_DAYS[status];
  if (maxDays === null || maxDays === undefined) return null;
  const days = Math.floor((now.getTime() - dossier.statusSince.getTime()) / DAY_MS);
  if (days <= maxDays) return null;
  return status === "validated" ? `validated for ${days} days, and no design yet` : `${status} for ${days} days`;
}

export const DesignRef = z.object({ run_id: z.uuid(), artifact: z.string() });

export const Dossier = z.object({
  tenantId: z.string(),
  operatorId: z.string(),
  productId: z.string(),
  path: z.string(),
  dossierId: z.string().nullable(),
  topic: z.string().nullable(),
  /** As the file says; null when the file cannot be read. */
  status: DossierStatus.nullable(),
  owner: z.string().nullable(),
  hypothesis: z.string().nullable(),
  evidence: z.array(z.string()),
  writtenAt: z.date().nullable(),
  commitSha: z.string(),
  problems: z.array(DossierProblem).nullable(),
  /** The design it was handed to, which this house made from it. */
  design: DesignRef.nullable(),
  orderId: z.uuid().nullable(),
  statusSince: z.date(),
  seenAt: z.date(),
});
export type Dossier = z.infer<typeof Dossier>;
