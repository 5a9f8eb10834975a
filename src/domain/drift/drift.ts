/** Drift: what is declared compared with what is there. One pure comparison; it observes and changes nothing. */
import { compareFleet, type DeclaredFleet, type ObservedFleet } from "./fleet-drift.ts";
import { compareProduct, type ObservedProduct } from "./product-drift.ts";
import type { Finding, Baseline, ObservedHost, DeclaredProduct, DriftReport, BaselineIndex } from "./finding.ts";

export interface DeclaredState {
  readonly products: readonly DeclaredProduct[];
  /** Omitted when only products are checked. */
  readonly fleet?: DeclaredFleet | undefined;
}

export interface ActualState {
  /** The products that could be read; findings of the others stay as they are. */
  readonly products: readonly ObservedProduct[];
  readonly hosts: readonly ObservedHost[];
  readonly fleet?: ObservedFleet | undefined;
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
