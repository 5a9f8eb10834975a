/** What gc collects and what stays: one decision, in whatever order the facts come. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decideGc, type BranchFacts, type GcFacts, type GcPolicy, type RunFacts } from "../../../src/domain/gc/gc.ts";

const now = new Date("2026-05-01T00:00:00Z");
const POLICY: GcPolicy = { keepRuns: 10, keepSnapshotsDays: 30, keepMirrorsDays: 30, keepRowsDays: 90, host: "here" };
const ago = (days: number) => new Date(now.getTime() - days * 86_400_000);

const goes = (facts: readonly GcFacts[], policy = POLICY) =>
  decideGc(facts, policy, now)
    .filter((verdict) => verdict.collect)
    .map(({ item }) => item.subject);

function aRun(subject: string, days: number, run: Partial<RunFacts> = {}): RunFacts {
  const place = {
    kind: "run",
    subject,
    path: `/runs/${subject}`,
    tenantId: "acme",
    productId: "shop",
    host: "here",
  } as const;
  const state = { intent: "test", status: "failed", pinned: false, release: null, known: true } as const;
  return { ...place, ...state, startedAt: ago(days), ...run };
}

const aRunFact = fc.record({
  days: fc.integer({ min: 0, max: 400 }),
  productId: fc.constantFrom("shop", "site"),
  intent: fc.constantFrom("validate", "test"),
  status: fc.constantFrom("in_progress" as const, "success" as const, "failed" as const),
  pinned: fc.boolean(),
  release: fc.option(fc.constant("v1")),
  host: fc.constantFrom("here", "there"),
});

test("for any input, the newest of each product stay, and nothing that is protected is collected", () => {
  fc.assert(
    fc.property(fc.array(aRunFact, { maxLength: 60 }), fc.integer({ min: 1, max: 12 }), (given, keepRuns) => {
      const runs = given.map(({ days, ...run }, at) => aRun(`run-${String(at).padStart(3, "0")}`, days, run));
      const collected = new Set(goes(runs, { ...POLICY, keepRuns }));

      for (const run of runs.filter(({ subject }) => collected.has(subject))) {
        const newer = runs.filter(
          (one) => one.productId === run.productId && one.startedAt >= run.startedAt && one !== run,
        );
        const laterSuccess = newer.some(({ intent, status }) => intent === run.intent && status === "success");
        expect(newer.length).toBeGreaterThanOrEqual(keepRuns);
        expect(run).toMatchObject({ pinned: false, release: null, host: "here" });
        expect(run.status).not.toBe("in_progress");
        expect(run.status === "success" && !laterSuccess).toBe(false);
      }
      expect(new Set(goes(runs.toReversed(), { ...POLICY, keepRuns }))).toEqual(collected);
    }),
  );
});

test("after a collection the next pass collects nothing more", () => {
  const runs = Array.from({ length: 15 }, (_, at) => aRun(`r${at}`, at + 1));
  const gone = new Set(goes(runs));

  expect(gone.size).toBe(5);
  expect(goes(runs.filter(({ subject }) => !gone.has(subject)))).toEqual([]);
});

test("a folder without a row is collected when it has settled, and does not count as one of the newest", () => {
  const runs = Array.from({ length: 10 }, (_, at) => aRun(`r${at}`, at + 1));

  expect(goes([...runs, aRun("stray", 2, { known: false }), aRun("fresh", 0, { known: false })])).toEqual(["stray"]);
});

const BRANCH: BranchFacts = {
  kind: "branch",
  subject: "fleet/01234567-work",
  path: "/mirrors/a.git/refs/heads/fleet/01234567-work",
  task: "over",
  hasWorkspace: false,
  merged: false,
  onForge: false,
  isOurs: true,
  head: "0".repeat(40),
  taskId: null,
  url: "/srv/shop.git",
};

test.each([
  [{ task: "live" }, { collect: false }],
  [{ hasWorkspace: true, merged: true }, { collect: false }],
  [{ isOurs: false, task: "none", merged: true }, { collect: false }],
  [{ merged: true }, { collect: true, reason: "it is merged" }],
  [{ onForge: true }, { collect: true, reason: "the forge has its commits" }],
  [{}, { collect: true, saveFirst: true }],
] as const)("a branch that is %j: %j", (branch, verdict) => {
  expect(decideGc([{ ...BRANCH, ...branch }], POLICY, now)[0]).toMatchObject(verdict);
});

test("nothing of a task that has not ended is ever collected", () => {
  const base = { subject: "x", path: "/x", task: "live" } as const;
  const facts: GcFacts[] = [
    { ...base, kind: "workspace", isComplete: true, keptReason: null, changedAt: ago(999) },
    { ...base, kind: "workspace", isComplete: false, keptReason: null, changedAt: ago(999) },
    { ...base, kind: "snapshot", takenAt: ago(999) },
    { ...base, kind: "attempt", changedAt: ago(999) },
    { ...BRANCH, task: "live", merged: true },
    { kind: "mirror", subject: "x", path: "/x", url: "/x", usedAt: ago(999), branches: 0, workspaces: 0, wanted: true },
    { kind: "socket", subject: "x", path: "/x", answers: true },
  ];

  expect(goes(facts)).toEqual([]);
});
