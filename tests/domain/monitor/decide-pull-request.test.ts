/** Decisions about a delivered pull request, and what must hold for any task and any facts. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Decision, MonitoredTask, TaskFacts } from "../../../src/domain/monitor/decision.ts";
import { decideTask } from "../../../src/domain/monitor/decide-task.ts";
import { Condition, FailureClass, TaskStatus, VALID_TRANSITIONS } from "../../../src/domain/task/task.ts";
import {
  ago,
  anAgent,
  aPullRequest,
  aTask,
  headSha,
  now,
  policy,
  someTaskFacts,
  startSha,
} from "../../support/monitored.ts";

const newer = "b".repeat(40);
const green: TaskFacts["ci"] = {
  configured: true,
  required: true,
  headSha,
  status: "passing",
  errors: 0,
  since: ago(1),
};
const started = { round: 1, headSha, startedAt: ago(1) };

describe("a task with a pull request", () => {
  test.each<[string, Partial<TaskFacts>, object[]]>([
    ["nobody could ask the forge", { pullRequest: undefined }, []],
    [
      "merged outside",
      { pullRequest: aPullRequest({ state: "merged", mergeSha: newer }) },
      [{ do: "merged", mergeSha: newer }],
    ],
    [
      "closed outside",
      { pullRequest: aPullRequest({ state: "closed" }) },
      [{ do: "fail", class: "policy_refusal", reason: "pull_request_closed" }],
    ],
    ["never checked", {}, [{ do: "start_ci", headSha, reason: "no_run_yet" }]],
    ["checks pending", { ci: { ...green, status: "pending" } }, []],
    ["checks red", { ci: { ...green, status: "failing" } }, [{ do: "fail", class: "ci_failed" }]],
    ["checks green", { ci: green }, [{ do: "start_review", headSha, round: 1, reason: "checks_done" }]],
    ["no checks", { ci: { ...green, configured: false } }, [{ do: "start_review" }]],
    [
      "a new head",
      { ci: green, pullRequest: aPullRequest({ headSha: newer }) },
      [{ do: "start_ci", headSha: newer, reason: "new_head" }],
    ],
    [
      "the rounds are used up",
      { ci: green, review: { ...started, round: 5 } },
      [{ do: "hold", reason: "review_rounds_used" }],
    ],
  ])("%s", (_, facts, decisions) =>
    expectDecisions({ status: "pr_created" }, { pullRequest: aPullRequest(), ...facts }, decisions),
  );

  test("held once is not held again", () => {
    const facts = { pullRequest: aPullRequest(), ci: green, review: { ...started, round: 5 } };
    expectDecisions({ status: "pr_created", condition: "needs_input" }, facts, []);
  });
});

describe("a task in review", () => {
  const late = { ...started, startedAt: ago(30) };
  test.each<[string, Partial<TaskFacts>, object[]]>([
    ["waits for its reviewers", {}, []],
    ["is settled when time is up", { review: late }, [{ do: "settle_review", onTimeout: "ready" }]],
    [
      "is settled also when nobody can ask the forge",
      { review: late, pullRequest: undefined },
      [{ do: "settle_review" }],
    ],
    ["counts from its last change when nobody noted the start", { review: { ...started, startedAt: undefined } }, []],
    ["fails when its checks turn red", { ci: { ...green, status: "failing" } }, [{ do: "fail", class: "ci_failed" }]],
    ["ends when it is closed", { pullRequest: aPullRequest({ state: "closed" }) }, [{ do: "fail" }]],
    ["ends when it is merged", { pullRequest: aPullRequest({ state: "merged" }) }, [{ do: "merged" }]],
    [
      "with a new head is checked again first",
      { pullRequest: aPullRequest({ headSha: newer }), review: late },
      [{ do: "start_ci", headSha: newer }],
    ],
    [
      "with a new head that passes is reviewed again",
      { pullRequest: aPullRequest({ headSha: newer }), ci: { ...green, headSha: newer } },
      [{ do: "start_review", headSha: newer, round: 2, reason: "new_head" }],
    ],
  ])("%s", (_, facts, decisions) =>
    expectDecisions(
      { status: "reviewing" },
      { pullRequest: aPullRequest(), ci: green, review: started, ...facts },
      decisions,
    ),
  );

  test("is held once where the policy holds", () => {
    const facts = someTaskFacts({ pullRequest: aPullRequest(), ci: green, review: late });
    const holding = { ...policy, review: { ...policy.review, onTimeout: "hold" as const } };
    expect(decideTask(aTask({ status: "reviewing" }), facts, holding, now)).toMatchObject([
      { do: "settle_review", onTimeout: "hold" },
    ]);
    expect(decideTask(aTask({ status: "reviewing", condition: "needs_input" }), facts, holding, now)).toEqual([]);
  });
});

describe("a ready task", () => {
  test.each<[string, Partial<TaskFacts>, object[]]>([
    ["waits for its operator", {}, []],
    ["waits also when nobody can ask the forge", { pullRequest: undefined }, []],
    ["was merged outside", { pullRequest: aPullRequest({ state: "merged" }) }, [{ do: "merged" }]],
    [
      "was closed outside",
      { pullRequest: aPullRequest({ state: "closed" }) },
      [{ do: "hold", reason: "pull_request_closed" }],
    ],
    [
      "has commits nobody reviewed",
      { pullRequest: aPullRequest({ headSha: newer }) },
      [{ do: "hold", reason: "head_moved" }],
    ],
    ["was never reviewed", { review: { round: 0, headSha: undefined, startedAt: undefined } }, []],
  ])("%s", (_, facts, decisions) =>
    expectDecisions({ status: "ready" }, { pullRequest: aPullRequest(), review: started, ...facts }, decisions),
  );

  test("merges automatically only where that is allowed and the reviewers approved", () => {
    const facts = someTaskFacts({ pullRequest: aPullRequest(), review: started });
    const auto = { ...policy, autoMerge: true };
    const approved = aTask({ status: "ready", reviewStatus: { outcome: "approved" } });

    expect(decideTask(approved, facts, policy, now)).toEqual([]);
    expect(decideTask(approved, facts, auto, now)).toMatchObject([{ do: "merge", headSha }]);
    expect(decideTask(aTask({ status: "ready", reviewStatus: { outcome: "timed_out" } }), facts, auto, now)).toEqual(
      [],
    );
    expect(decideTask(aTask({ status: "ready" }), facts, auto, now)).toEqual([]);
  });
});

test("a status that only jobs and people change is not the monitor's to decide", () => {
  const monitored = new Set<TaskStatus>(["spawning", "running", "pr_created", "reviewing", "ready"]);
  const others = TaskStatus.options.filter((status) => !monitored.has(status));
  expect(others.flatMap((status) => decideTask(aTask({ status }), someTaskFacts(), policy, now))).toEqual([]);
});

const LEADS_TO: Partial<Record<Decision["do"], TaskStatus>> = {
  run: "running",
  pr_created: "pr_created",
  merged: "merged",
  merge: "merged",
  fail: "failed",
};

const when = fc.oneof(fc.constant(now), fc.date({ noInvalidDate: true }));
const sha = fc.constantFrom(startSha, headSha, newer);
const tasks = fc.record<Partial<MonitoredTask>>({
  status: fc.constantFrom(...TaskStatus.options),
  condition: fc.constantFrom(...Condition.options),
  conditionDetail: fc.option(fc.dictionary(fc.constantFrom("until", "text"), fc.anything())),
  conditionSince: fc.option(when),
  attempt: fc.nat(2),
  spawnedAt: fc.option(when),
  updatedAt: when,
  metadata: fc.constantFrom({}, { saga: { done: [] } }, { saga: { done: ["process"], startSha } }),
  reviewStatus: fc.option(fc.record({ outcome: fc.constantFrom("approved", "timed_out") })),
});
const agents = fc.record({
  attempt: fc.nat(2),
  pane: fc.constantFrom("alive", "dead", "missing", "unknown"),
  process: fc.constantFrom("alive", "dead", "unknown"),
  heartbeatAt: fc.option(when),
  exit: fc.option(
    fc.record({ code: fc.option(fc.integer()), signal: fc.option(fc.string()), oom: fc.boolean(), endedAt: when }),
  ),
  headSha: fc.option(sha),
  commitsAhead: fc.nat(2),
  observedAt: when,
  progressAt: when,
  nudgedAt: fc.option(when),
  deadProbes: fc.nat(3),
  needsInput: fc.option(fc.constant({ text: "?" })),
});
const allFacts = fc.record<TaskFacts>({
  agent: maybe(agents.map((agent) => anAgent(agent))),
  host: maybe(fc.record({ leaseUntil: when })),
  branch: maybe(fc.record({ headSha: sha })),
  pullRequest: maybe(
    fc.record({
      number: fc.nat(),
      state: fc.constantFrom("open", "closed", "merged"),
      headSha: sha,
      mergeSha: fc.option(sha),
    }),
  ),
  ci: fc.record({
    configured: fc.boolean(),
    required: fc.boolean(),
    headSha: maybe(sha),
    status: fc.constantFrom("none", "pending", "passing", "failing", "error"),
    errors: fc.nat(4),
    since: maybe(when),
  }),
  review: fc.record({ round: fc.nat(6), headSha: maybe(sha), startedAt: maybe(when) }),
  opensOnPush: fc.boolean(),
  excusedMs: fc.nat(),
});

describe("for any task and any facts", () => {
  test("the decision is a legal transition with a reason, and changes the status at most once", () => {
    fc.assert(
      fc.property(tasks, allFacts, fc.boolean(), (task, seen, autoMerge) => {
        const given = aTask(task);
        const decisions = decideTask(given, seen, { ...policy, autoMerge }, now);
        const moves = decisions.flatMap((decision) => LEADS_TO[decision.do] ?? []);
        expect(moves.length).toBeLessThanOrEqual(1);
        for (const to of moves) expect(VALID_TRANSITIONS[given.status]).toContain(to);
        for (const decision of decisions) {
          expect(decision.reason).not.toBe("");
          expect(FailureClass.options).toContain(decision.do === "fail" ? decision.class : "stall");
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test("a probe error alone never ends an agent", () => {
    fc.assert(
      fc.property(agents, (agent) => {
        const unsure = anAgent({ ...agent, attempt: 0, process: "unknown", exit: null });
        const decisions = decideTask(aTask(), someTaskFacts({ agent: unsure }), policy, now);
        expect(decisions.some((decision) => decision.do === "fail")).toBe(false);
      }),
    );
  });
});

function maybe<Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.option(value, { nil: undefined });
}

function expectDecisions(task: Partial<MonitoredTask>, facts: Partial<TaskFacts>, decisions: readonly object[]): void {
  expect(decideTask(aTask(task), someTaskFacts(facts), policy, now)).toMatchObject(decisions);
}
