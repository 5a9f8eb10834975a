/** Drift of one product: its locks and its needs against what they were, against each other, and against the hosts. */
import type { Baseline, Baselines, DriftReport, Finding, NotChecked, ObservedHost, ProductTerms } from "./drift.ts";
import { shellWord } from "../text/shell-word.ts";
import type { Requirement, Tool, Toolchain } from "./toolchain.ts";
import { newestOf, satisfies } from "./version-range.ts";

export interface ObservedProduct extends Toolchain {
  readonly id: string;
  readonly headSha: string;
  /** Content of each lock file, as a hash. */
  readonly lockfiles: readonly { readonly path: string; readonly hash: string }[];
}

interface Looking {
  readonly product: ProductTerms;
  readonly seen: ObservedProduct;
  readonly accepted: Baselines;
  readonly hosts: readonly ObservedHost[];
}

const LOCKFILE = "lockfile ";
const NEEDS = "needs ";

export function compareProduct(
  product: ProductTerms,
  seen: ObservedProduct,
  hosts: readonly ObservedHost[],
  accepted: Baselines,
): DriftReport {
  const looking: Looking = { product, seen, hosts, accepted };
  const watched = [
    ...seen.lockfiles.map(({ path, hash }) => ({ what: `${LOCKFILE}${path}`, value: hash, file: path })),
    ...seen.declared.map(({ tool, range, source }) => ({
      what: `${NEEDS}${tool} in ${source}`,
      value: range,
      file: source.split(" ")[0] ?? source,
    })),
  ];
  const { changed, firstSeen } = compareWatched(looking, watched);
  const onHosts = compareHosts(looking);
  return {
    findings: [...changed, ...compareLocks(looking), ...compareDeclared(looking), ...onHosts.findings],
    firstSeen,
    subjects: [subjectOf(product)],
    notChecked: onHosts.notChecked,
  };
}

export function subjectOf({ id }: Pick<ProductTerms, "id">): string {
  return `product:${id}`;
}

interface Watched {
  readonly what: string;
  readonly value: string;
  readonly file: string;
}

/** Against what was recorded when it was first seen, or accepted since. */
function compareWatched(
  { product, accepted }: Looking,
  watched: readonly Watched[],
): { changed: Finding[]; firstSeen: Baseline[] } {
  const subject = subjectOf(product);
  const there = new Set(watched.map(({ what }) => what));
  const gone = accepted
    .of(subject)
    .filter(({ what }) => (what.startsWith(LOCKFILE) || what.startsWith(NEEDS)) && !there.has(what))
    .map(({ what }) => ({ what, value: null, file: what.split(" ").at(what.startsWith(LOCKFILE) ? 1 : 3) ?? "" }));
  const changed: Finding[] = [];
  const firstSeen: Baseline[] = [];
  for (const { what, value, file } of [...watched, ...gone]) {
    const baseline = accepted.find(subject, what);
    if (!baseline) firstSeen.push({ subject, what, value });
    else if (baseline.value !== value) {
      const severity = what.startsWith(LOCKFILE) ? "medium" : "low";
      changed.push(
        findingOf(product, { what, declared: baseline.value, actual: value, severity }, historyOf(product, file)),
      );
    }
  }
  return { changed, firstSeen };
}

/** What a lock repeats of the needs it was made under: another one there means that nobody locked again. */
function compareLocks({ product, seen }: Looking): Finding[] {
  return seen.locked.flatMap((lock) => {
    const manifest = seen.declared.find(({ tool, exact }) => tool === lock.tool && !exact);
    if (!manifest || plain(manifest.range) === plain(lock.range)) return [];
    const what = `${lock.tool} in ${lock.source}`;
    const command = lock.source.startsWith("uv.lock") ? "uv lock" : "npm install --package-lock-only";
    return [findingOf(product, { what, declared: said(manifest), actual: said(lock), severity: "medium" }, command)];
  });
}

/** A version that one file names must do for the range that another asks for. */
function compareDeclared({ product, seen }: Looking): Finding[] {
  return seen.declared.flatMap((ranged) => {
    if (ranged.exact) return [];
    return seen.declared.flatMap((named) => {
      if (!named.exact || named.tool !== ranged.tool) return [];
      if (satisfies(newestOf(named.range) ?? "", ranged.range) !== false) return [];
      const what = `${named.tool} in ${named.source}`;
      const command = historyOf(product, named.source);
      return [findingOf(product, { what, declared: said(ranged), actual: said(named), severity: "medium" }, command)];
    });
  });
}

/** Each machine that may run its orders must have what it needs. */
function compareHosts({ product, seen, hosts }: Looking): { findings: Finding[]; notChecked: NotChecked[] } {
  const findings: Finding[] = [];
  const notChecked: NotChecked[] = [];
  for (const need of seen.declared) {
    for (const { id: host, versions } of hosts) {
      const found = versions[need.tool];
      const fits = found === undefined || found === MISSING ? false : satisfies(found, need.range);
      const what = `${need.tool} on ${host} for ${need.source}`;
      if (found === undefined) {
        notChecked.push({ what: `${subjectOf(product)} ${what}`, why: `the host does not report its ${need.tool}` });
      } else if (fits === undefined) {
        notChecked.push({ what: `${subjectOf(product)} ${what}`, why: `"${need.range}" is not understood` });
      } else if (!fits) {
        const difference = { what, declared: said(need), actual: found, severity: "high", host } as const;
        findings.push(findingOf(product, difference, VERSION_COMMANDS[need.tool]));
      }
    }
  }
  return { findings, notChecked };
}

const MISSING = "missing";

const VERSION_COMMANDS: Readonly<Record<Tool, string>> = {
  node: "node --version",
  python: "python3 --version",
  go: "go version",
  rust: "rustc --version",
};

type Difference = Pick<Finding, "what" | "declared" | "actual" | "severity"> & { readonly host?: string };

function findingOf(product: ProductTerms, { host, ...difference }: Difference, command: string): Finding {
  return { subject: subjectOf(product), productId: product.id, ...difference, host: host ?? null, command };
}

function said({ range, source }: Requirement): string {
  return `${range} (${source})`;
}

function plain(range: string): string {
  return range.replaceAll(/\s+/g, "");
}

/** Shows who changed it. */
function historyOf({ repository, baseBranch }: ProductTerms, file: string): string {
  const where = repository.startsWith("/") ? `git -C ${shellWord(repository)} ` : "git ";
  return `${where}log -3 --stat ${shellWord(baseBranch)} -- ${shellWord(file)}`;
}
