/** The comparison: the same facts give the same report, in any order; an accepted value is no finding. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { compareDrift, type ActualState, type DeclaredState } from "../../../src/domain/drift/drift.ts";
import type { ObservedProduct } from "../../../src/domain/drift/product-drift.ts";
import { readToolchain } from "../../../src/domain/drift/toolchain.ts";
import type { Baseline, ObservedHost } from "../../../src/domain/drift/finding.ts";

const NOW = new Date("2026-05-01T12:00:00Z");
const terms = (id: string) => ({ id, repository: `/srv/git/${id}`, baseBranch: "main" });
const aProduct = (id: string, seen: Partial<ObservedProduct> = {}): ObservedProduct => ({
  id,
  headSha: "0".repeat(40),
  lockfiles: [],
  declared: [],
  locked: [],
  ...seen,
});
const aHost = (id: string, versions: Record<string, string> = {}): ObservedHost => ({ id, alive: true, versions });

function compare(
  products: readonly ObservedProduct[],
  baselines: readonly Baseline[] = [],
  hosts: readonly ObservedHost[] = [],
) {
  return compareDrift({ products: products.map(({ id }) => terms(id)) }, { products, hosts }, baselines, NOW);
}

const fleetOf = (but: Partial<NonNullable<DeclaredState["fleet"]>> = {}) => ({
  schedulers: [],
  migrations: [],
  schema: {},
  roster: [],
  configuration: "c0",
  ...but,
});
const seenFleet = (but: Partial<NonNullable<ActualState["fleet"]>> = {}) => ({
  schedulers: [],
  migrations: [],
  schema: {},
  host: "here",
  sessions: new Map(),
  ...but,
});

function compareFleet(
  declared: Parameters<typeof fleetOf>[0],
  seen: Parameters<typeof seenFleet>[0],
  hosts: readonly ObservedHost[] = [],
) {
  return compareDrift(
    { products: [], fleet: fleetOf(declared) },
    { products: [], hosts, fleet: seenFleet(seen) },
    [],
    NOW,
  );
}

const clock = (id: string, everyMs = 60_000) => ({ id, everyMs, payload: { kind: id } });

const name = fc.stringMatching(/^[a-d]$/);
const someLocks = fc.uniqueArray(fc.record({ path: fc.constantFrom("go.sum", "uv.lock", "yarn.lock"), hash: name }), {
  selector: ({ path }) => path,
});
const someProducts = fc.uniqueArray(
  fc.record({ id: fc.stringMatching(/^[a-z]{1,3}$/), lockfiles: someLocks }).map((some) => aProduct(some.id, some)),
  { selector: ({ id }) => id, maxLength: 6 },
);

test("the first observation is the baseline, seeing it again is no finding, and the order of the facts does not matter", () => {
  fc.assert(
    fc.property(someProducts, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (products, chance) => {
      const first = compare(products);
      const shuffled = products
        .map((product) => ({ product, at: chance.next().value }))
        .toSorted((a, b) => a.at - b.at)
        .map(({ product }) => product);

      expect(first.findings).toEqual([]);
      expect(compare(products, first.firstSeen).findings).toEqual([]);
      expect(compare(products, first.firstSeen).firstSeen).toEqual([]);
      expect(compare(shuffled, []).findings).toEqual(first.findings);
    }),
  );
});

test("each change of a lock file is a finding until exactly that change is accepted, and so is a removed one", () => {
  fc.assert(
    fc.property(someLocks, someLocks, (before, after) => {
      const { firstSeen } = compare([aProduct("p", { lockfiles: before })]);
      const now = [aProduct("p", { lockfiles: after })];
      const { findings } = compare(now, firstSeen);
      const was = new Map(before.map(({ path, hash }) => [path, hash]));
      const is = new Map(after.map(({ path, hash }) => [path, hash]));
      const changed = [...was.keys()].filter((path) => was.get(path) !== is.get(path)).toSorted();

      expect(findings.map(({ what }) => what)).toEqual(changed.map((path) => `lockfile ${path}`));
      const accepted = findings.map(({ subject, what, actual }) => ({ subject, what, value: actual }));
      const baselines = [...firstSeen.filter(({ what }) => !accepted.some((one) => one.what === what)), ...accepted];
      expect(compare(now, baselines).findings).toEqual([]);
    }),
  );
});

test("a product's requirements are compared with each live host, with its lock file, and with every other file that names a version", () => {
  const files = {
    "package.json": '{"engines": {"node": ">=20.19"}}',
    "package-lock.json": '{"packages": {"": {"engines": {"node": ">=18"}}}}',
    ".nvmrc": "v18\n",
    "go.mod": "module shop\n\ngo 1.22\n",
  };
  const product = aProduct("shop", readToolchain(new Map(Object.entries(files))));
  const hosts = [
    aHost("old", { node: "v18.2.0", go: "go version go1.21.1 linux/amd64" }),
    aHost("good", { node: "v22.1.0", go: "missing" }),
    aHost("mute"),
    { ...aHost("dead", { node: "v1" }), alive: false },
  ];

  const { findings, notChecked } = compare([product], [], hosts);

  expect(findings.map(({ what, actual, severity }) => [what, actual, severity])).toEqual([
    ["go on good for go.mod", "missing", "high"],
    ["go on old for go.mod", "go version go1.21.1 linux/amd64", "high"],
    ["node in .nvmrc", "18 (.nvmrc)", "medium"],
    ["node in package-lock.json engines.node", ">=18 (package-lock.json engines.node)", "medium"],
    ["node on good for .nvmrc", "v22.1.0", "high"],
    ["node on old for package.json engines.node", "v18.2.0", "high"],
  ]);
  expect(notChecked.map(({ what }) => what)).toEqual([
    "product:shop node on mute for package.json engines.node",
    "product:shop node on mute for .nvmrc",
    "product:shop go on mute for go.mod",
  ]);
});

test("an accepted difference is no finding until it changes again", () => {
  const product = aProduct("shop", readToolchain(new Map([["go.mod", "go 1.22\n"]])));
  const scan = (version: string, baselines: readonly Baseline[]) =>
    compare([product], baselines, [aHost("a", { go: version })]).findings;
  const [finding] = scan("go1.20", []);
  const accepted = [{ subject: finding?.subject ?? "", what: finding?.what ?? "", value: finding?.actual ?? null }];

  expect(finding?.actual).toBe("go1.20");
  expect(scan("go1.20", accepted)).toEqual([]);
  expect(scan("go1.19", accepted).map(({ actual }) => actual)).toEqual(["go1.19"]);
});

test("a clock that is missing, different, unknown or without a reply is found", () => {
  const nextAt = new Date(NOW.getTime() + 1_000);
  const { findings } = compareFleet(
    { schedulers: [clock("a"), clock("b"), clock("c"), clock("d")] },
    {
      schedulers: [
        { ...clock("a"), nextAt },
        { ...clock("b", 5_000), nextAt },
        { ...clock("c"), nextAt: new Date(NOW.getTime() - 600_000) },
        { ...clock("e"), nextAt },
      ],
    },
  );

  expect(findings.map(({ what, declared, actual, severity }) => [what, declared !== null, actual, severity])).toEqual([
    ["b", true, 'every 5000 ms: {"kind":"b"}', "medium"],
    ["c", true, "no tick since 2026-05-01T11:50:00.000Z", "high"],
    ["d", true, null, "high"],
    ["e", false, 'every 60000 ms: {"kind":"e"}', "low"],
  ]);
});

test("an agent that may run on any host is not reported missing while there are other hosts; one with a fixed host is", () => {
  const agent = { name: "scribe", runtime: "codex", session: "notes" };
  const nowhere = { sessions: new Map([["", []]]) };
  const alone = compareFleet({ roster: [agent] }, nowhere, [aHost("here", { config: "c0" })]);
  const among = compareFleet({ roster: [agent] }, nowhere, [
    aHost("here", { config: "c0" }),
    aHost("there", { config: "c0" }),
  ]);
  const unreachable = compareFleet({ roster: [agent] }, {}, [aHost("here", { config: "c0" })]);

  expect(alone.findings.map(({ subject, what }) => [subject, what])).toEqual([["roster:scribe", "session"]]);
  expect([among.findings, unreachable.findings]).toEqual([[], []]);
  expect(among.notChecked[0]?.why).toContain("may be on another host");
  expect(unreachable.notChecked[0]?.why).toContain("does not answer");
  expect(among.subjects).not.toContain("roster:scribe");
});

test("an agent behind an interpreter or a shell is recognised by its own program's name", () => {
  const agent = { name: "scribe", runtime: "codex", session: "notes", host: "here" };
  const session = { name: "notes", isDead: false, command: "node", programs: ["node", "codex"] };
  const look = (one: typeof session) =>
    compareFleet({ roster: [agent] }, { sessions: new Map([["", [one]]]) }).findings;

  expect(look(session)).toEqual([]);
  expect(look({ ...session, isDead: true })[0]?.actual).toBe("node (dead)");
  expect(look({ ...session, command: "bash", programs: ["bash"] })[0]).toMatchObject({
    declared: "codex",
    actual: "bash",
  });
});
