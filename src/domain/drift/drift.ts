/** Drift: what is declared against what is there. Words, and one comparison; it observes nothing and fixes nothing. */
import { z } from "zod";
import { compareFleet, type DeclaredFleet, type ObservedFleet } from "./fleet-drift.ts";
import { compareProduct, type ObservedProduct } from "./product-drift.ts";

export const DriftSeverity = z.enum(["low", "medium", "high"]);
export type DriftSeverity = z.infer<typeof DriftSeverity>;

/** A difference. `subject` and `what` together name it over time; null is what is not there. */
export const Finding = z.object({
  subject: z.string(),
  what: z.string(),
  productId: z.string().nullable(),
  declared: z.string().nullable(),
  actual: z.string().nullable(),
  severity: DriftSeverity,
  /** What to type next. */
  command: z.string().nullable(),
  /** Where it was seen, when it is of one machine. */
  host: z.string().nullable(),
});
export type Finding = z.infer<typeof Finding>;

/** What counts as right until somebody accepts something else. */
export const Baseline = z.object({ subject: z.string(), what: z.string(), value: z.string().nullable() });
export type Baseline = z.infer<typeof Baseline>;

/** What was not looked at, and why: never passed over in silence. */
export const NotChecked = z.object({ what: z.string(), why: z.string() });
export type NotChecked = z.infer<typeof NotChecked>;

/** A machine as it last reported itself. */
export interface ObservedHost {
  readonly id: string;
  readonly alive: boolean;
  /** Of programs, of Fleetwright, and `config`, the print of its fleet.yaml. "missing" is a program that is not there. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface DeclaredState {
  readonly products: readonly DeclaredProduct[];
  /** Left out when only products are looked at. */
  readonly fleet?: DeclaredFleet | undefined;
}

export interface DeclaredProduct {
  readonly id: string;
  readonly repository: string;
  readonly baseBranch: string;
}

export interface ActualState {
  /** Those that could be read; the others are not compared, and stay as they were. */
  readonly products: readonly ObservedProduct[];
  readonly hosts: readonly ObservedHost[];
  readonly fleet?: ObservedFleet | undefined;
}

export interface DriftReport {
  readonly findings: readonly Finding[];
  /** Seen for the first time: right until it changes. */
  readonly firstSeen: readonly Baseline[];
  /** What was compared; a finding of these that is not among them is gone. */
  readonly subjects: readonly string[];
  readonly notChecked: readonly NotChecked[];
}

/** Pure: the same facts give the same report, in the same order. */
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
  /** What counts as right, or undefined when nothing was recorded yet. */
  find(subject: string, what: string): Baseline | undefined;
  forSubject(subject: string): readonly Baseline[];
  /** Somebody accepted exactly this. */
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

/** By code units, so that no locale has a say. */
function compareByName(a: Finding, b: Finding): number {
  const [left, right] = [`${a.subject}\0${a.what}`, `${b.subject}\0${b.what}`];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
