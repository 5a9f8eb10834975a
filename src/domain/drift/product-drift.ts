/** Drift of one product: its locks and its needs against what they were, against each other, and against the hosts. */
import { shellWord } from "../text/shell-word.ts";
import type { Requirement, Tool, Toolchain } from "./toolchain.ts";
import { highestVersion, satisfies } from "./version-range.ts";
import type {
  Finding,
  Baseline,
  NotChecked,
  ObservedHost,
  DeclaredProduct,
  DriftReport,
  BaselineIndex,
} from "./finding.ts";

export interface ObservedProduct extends Toolchain {
  readonly id: string;
  readonly headSha: string;
  /** A hash of the content of each lock file. */
  readonly lockfiles: readonly { readonly path: string; readonly hash: string }[];
}

interface ComparisonInput {
  readonly product: DeclaredProduct;
  readonly seen: ObservedProduct;
  readonly accepted: BaselineIndex;
  readonly hosts: readonly ObservedHost[];
}

const LOCKFILE_PREFIX = "lockfile ";
const NEEDS_PREFIX = "needs ";

export function compareProduct(
  product: DeclaredProduct,
  seen: ObservedProduct,
  hosts: readonly ObservedHost[],
  accepted: BaselineIndex,
): DriftReport {
  const input: ComparisonInput = { product, seen, hosts, accepted };
  const tracked = [
    ...seen.lockfiles.map(({ path, hash }) => ({ what: `${LOCKFILE_PREFIX}${path}`, value: hash, file: path })),
    ...seen.declared.map(({ tool, range, source }) => ({
      what: `${NEEDS_PREFIX}${tool} in ${source}`,
      value: range,
      file: source.split(" ")[0] ?? source,
    })),
  ];
  const { changed, firstSeen } = compareTracked(input, tracked);
  const onHosts = compareHostTools(input);
  return {
    findings: [...changed, ...compareLocks(input), ...compareDeclared(input), ...onHosts.findings],
    firstSeen,
    subjects: [driftSubject(product)],
    notChecked: onHosts.notChecked,
  };
}

export function driftSubject({ id }: Pick<DeclaredProduct, "id">): string {
  return `product:${id}`;
}

interface TrackedValue {
  readonly what: string;
  readonly value: string;
  readonly file: string;
}

/** Compares with the value that was recorded when it was first seen, or accepted since. */
function compareTracked(
  { product, accepted }: ComparisonInput,
  tracked: readonly TrackedValue[],
): { changed: Finding[]; firstSeen: Baseline[] } {
  const subject = driftSubject(product);
  const present = new Set(tracked.map(({ what }) => what));
  const missing = accepted
    .forSubject(subject)
    .filter(({ what }) => (what.startsWith(LOCKFILE_PREFIX) || what.startsWith(NEEDS_PREFIX)) && !present.has(what))
    .map(({ what }) => ({
      what,
      value: null,
      file: what.split(" ").at(what.startsWith(LOCKFILE_PREFIX) ? 1 : 3) ?? "",
    }));
  const changed: Finding[] = [];
  const firstSeen: Baseline[] = [];
  for (const { what, value, file } of [...tracked, ...missing]) {
    const baseline = accepted.find(subject, what);
    if (!baseline) firstSeen.push({ subject, what, value });
    else if (baseline.value !== value) {
      const severity = what.startsWith(LOCKFILE_PREFIX) ? "medium" : "low";
      changed.push(
        productFinding(
          product,
          { what, declared: baseline.value, actual: value, severity },
          gitLogCommand(product, file),
        ),
      );
    }
  }
  return { changed, firstSeen };
}

/** A lock file repeats the requirement it was created for: a different one there means that the lock file is out of date. */
function compareLocks({ product, seen }: ComparisonInput): Finding[] {
  return seen.locked.flatMap((lock) => {
    const manifest = seen.declared.find(({ tool, exact }) => tool === lock.tool && !exact);
    if (!manifest || removeSpaces(manifest.range) === removeSpaces(lock.range)) return [];
    const what = `${lock.tool} in ${lock.source}`;
    const command = lock.source.startsWith("uv.lock") ? "uv lock" : "npm install --package-lock-only";
    return [
      productFinding(
        product,
        { what, declared: formatRequirement(manifest), actual: formatRequirement(lock), severity: "medium" },
        command,
      ),
    ];
  });
}

/** An exact version that one file names must satisfy the range that another file requires. */
function compareDeclared({ product, seen }: ComparisonInput): Finding[] {
  return seen.declared.flatMap((ranged) => {
    if (ranged.exact) return [];
    return seen.declared.flatMap((named) => {
      if (!named.exact || named.tool !== ranged.tool) return [];
      if (satisfies(highestVersion(named.range) ?? "", ranged.range) !== false) return [];
      const what = `${named.tool} in ${named.source}`;
      const command = gitLogCommand(product, named.source);
      return [
        productFinding(
          product,
          { what, declared: formatRequirement(ranged), actual: formatRequirement(named), severity: "medium" },
          command,
        ),
      ];
    });
  });
}

/** Each host that may run the product's orders must have the tools that the product requires. */
function compareHostTools({ product, seen, hosts }: ComparisonInput): {
  findings: Finding[];
  notChecked: NotChecked[];
} {
  const findings: Finding[] = [];
  const notChecked: NotChecked[] = [];
  for (const need of seen.declared) {
    for (const { id: host, versions } of hosts) {
      const found = versions[need.tool];
      const fits = found === undefined || found === MISSING ? false : satisfies(found, need.range);
      const what = `${need.tool} on ${host} for ${need.source}`;
      if (found === undefined) {
        notChecked.push({ what: `${driftSubject(product)} ${what}`, why: `the host does not report its ${need.tool}` });
      } else if (fits === undefined) {
        notChecked.push({
          what: `${driftSubject(product)} ${what}`,
          why: `the range "${need.range}" is not supported`,
        });
      } else if (!fits) {
        const difference = { what, declared: formatRequirement(need), actual: found, severity: "high", host } as const;
        findings.push(productFinding(product, difference, VERSION_COMMANDS[need.tool]));
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

function productFinding(product: DeclaredProduct, { host, ...difference }: Difference, command: string): Finding {
  return { subject: driftSubject(product), productId: product.id, ...difference, host: host ?? null, command };
}

function formatRequirement({ range, source }: Requirement): string {
  return `${range} (${source})`;
}

function removeSpaces(range: string): string {
  return range.replaceAll(/\s+/g, "");
}

/** Builds the command that shows who changed the file. */
function gitLogCommand({ repository, baseBranch }: DeclaredProduct, file: string): string {
  const where = repository.startsWith("/") ? `git -C ${shellWord(repository)} ` : "git ";
  return `${where}log -3 --stat ${shellWord(baseBranch)} -- ${shellWord(file)}`;
}
