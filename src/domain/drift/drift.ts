/** Drift: what is declared against what is there. Words, and one comparison; it observes nothing and fixes nothing. */
import { z } from "zod";
import { compareFleet, type DeclaredFleet, type ObservedFleet } from "./fleet-drift.ts";
import { compareProduct, type ObservedProduct } from "./product-drift.ts";

export const DriftSeverity = z.enum(["low", "medium", "high"]);
export type DriftSeverity = z.infer<typeof DriftSeverity>;

/** One difference. `subject` and `what` together identify it over time; null stands for something that is absent. */
export const Finding = z.object({
  subject: z.string(),
  what: z.string(),
  productId: z.string().nullable(),
  declared: z.string().nullable(),
  actual: z.string().nullable(),
  severity: DriftSeverity,
  /** The command to run next. */
  command: z.string().nullable(),
  /** The machine on which it was found, if it concerns only one. */
  host: z.string().nullable(),
});
export type Finding = z.infer<typeof Finding>;

/** The value that counts as correct until an operator accepts another one. */
export const Baseline = z.object({ subject: z.string(), what: z.string(), value: z.string().nullable() });
export type Baseline = z.infer<typeof Baseline>;

/** Something that was not checked, and why. It is always reported, so that a clean report cannot hide a gap. */
export const NotChecked = z.object({ what: z.string(), why: z.string() });
export type NotChecked = z.infer<typeof NotChecked>;

/** A machine as it last reported its own state. */
export interface ObservedHost {
  readonly id: string;
  readonly alive: boolean;
  /** Versions of programs and of Fleetwright, and `config`, the hash of its fleet.yaml. "missing" stands for a program that is not installed. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface DeclaredState {
  readonly products: readonly DeclaredProduct[];
  /** Omitted when only products are checked. */
  readonly fleet?: DeclaredFleet | undefined;
}

export interface DeclaredProduct {
  readonly id: string;
  readonly repository: string;
  readonly baseBranch: string;
}

export interface ActualState {
  /** The products that could be read; findings of the others stay as they are. */
  readonly products: readonly ObservedProduct[];
  readonly hosts: readonly ObservedHost[];
  readonly fleet?: ObservedFleet | undefined;
}

export interface DriftReport {
  readonly findings: readonly Finding[];
  /** Values seen for the first time, which become baselines. */
  readonly firstSeen: readonly Baseline[];
  /** What was compared: an open finding of these subjects that is not reported again is resolved. */
  readonly subjects: readonly string[];
  readonly notChecked: readonly NotChecked[];
}

/** Compares declared with actual state. It is pure: the same facts give the same report, in the same order. */
export function compareDrift(
  declared: DeclaredState,
  actual: ActualState,
  baselines: readonly Baseline[],
  now: Date,
): DriftReport {
  const accepted = indexBaselines(baselines);
  const hosts = actual.hosts.filter(({ alive }) => alive);
  const declaredById = new Map(declared.products.map((product) => [product.id, product]));
  const parts = actual.products.flatMap((seen) => {
    const product = declaredById.get(seen.id);
    return product ? [compareProduct(product, seen, hosts, accepted)] : [];
  });
  if (declared.fleet && actual.fleet) parts.push(compareFleet(declared.fleet, actual.fleet, hosts, now));
  return {
    findings: parts
      .flatMap(({ findings }) => findings)
      .filter((finding) => !accepted.isAccepted(finding))
      .toSorted(compareByName),
    firstSeen: parts.flatMap(({ firstSeen }) => firstSeen),
    subjects: parts.flatMap(({ subjects }) => subjects),
    notChecked: parts.flatMap(({ notChecked }) => notChecked),
  };
}

export interface BaselineIndex {
  /** Returns the accepted value; undefined when nothing was recorded yet. */
  find(subject: string, what: string): Baseline | undefined;
  forSubject(subject: string): readonly Baseline[];
  /** Tells whether an operator accepted exactly this value. */
  isAccepted(finding: Finding): boolean;
}

function indexBaselines(list: readonly Baseline[]): BaselineIndex {
  const bySubject = new Map<string, Map<string, Baseline>>();
  for (const baseline of list) {
    const known = bySubject.get(baseline.subject) ?? new Map<string, Baseline>();
    bySubject.set(baseline.subject, known.set(baseline.what, baseline));
  }
  const find = (subject: string, what: string) => bySubject.get(subject)?.get(what);
  return {
    find,
    forSubject: (subject) => [...(bySubject.get(subject)?.values() ?? [])],
    isAccepted({ subject, what, actual }) {
      const baseline = find(subject, what);
      return baseline !== undefined && baseline.value === actual;
    },
  };
}

/** Compares by code units, so that the order does not depend on the locale. */
function compareByName(a: Finding, b: Finding): number {
  const [left, right] = [`${a.subject}\0${a.what}`, `${b.subject}\0${b.what}`];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
