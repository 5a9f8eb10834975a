/** The words of drift: differences, the baselines they are measured against, and what was not checked. */
import { z } from "zod";

export const DriftSeverity = z.enum(["low", "medium", "high"]);
export type DriftSeverity = z.infer<typeof DriftSeverity>;

/** A difference. `subject` and `what` together identify it over time; null stands for what does not exist. */
export const Finding = z.object({
  subject: z.string(),
  what: z.string(),
  productId: z.string().nullable(),
  declared: z.string().nullable(),
  actual: z.string().nullable(),
  severity: DriftSeverity,
  /** The command to type next. */
  command: z.string().nullable(),
  /** Null when it is not of one machine. */
  host: z.string().nullable(),
});
export type Finding = z.infer<typeof Finding>;

/** The value that counts as right until an operator accepts another. */
export const Baseline = z.object({ subject: z.string(), what: z.string(), value: z.string().nullable() });
export type Baseline = z.infer<typeof Baseline>;

/** What was not checked, and why: a report names it, so that silence always means no difference. */
export const NotChecked = z.object({ what: z.string(), why: z.string() });
export type NotChecked = z.infer<typeof NotChecked>;

/** A machine as it last reported itself. */
export interface ObservedHost {
  readonly id: string;
  readonly alive: boolean;
  /** Of programs, of Fleetwright, and `config`, the fingerprint of its fleet.yaml. "missing" stands for an absent program. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface DeclaredProduct {
  readonly id: string;
  readonly repository: string;
  readonly baseBranch: string;
}

export interface DriftReport {
  readonly findings: readonly Finding[];
  /** Values seen for the first time: they become baselines. */
  readonly firstSeen: readonly Baseline[];
  /** What was compared: an earlier finding of these subjects that is not reported again is resolved. */
  readonly subjects: readonly string[];
  readonly notChecked: readonly NotChecked[];
}

export interface BaselineIndex {
  /** Undefined when no value was recorded yet. */
  find(subject: string, what: string): Baseline | undefined;
  forSubject(subject: string): readonly Baseline[];
  /** Whether an operator accepted exactly this value. */
  isAccepted(finding: Finding): boolean;
}
