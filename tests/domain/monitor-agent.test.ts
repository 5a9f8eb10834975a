/** Decisions about a starting or working agent: each fact alone, and what outweighs what. */
import { describe, expect, test } from "vitest";
import type { MonitoredTask, MonitorPolicy, TaskFacts } from "../../src/domain/decision.ts";
import type { SeenFacts } from "../../src/domain/facts.ts";
import { decideTask } from "../../src/domain/monitor.ts";
import { ago, anAgent, aPullRequest, aTask, headSha, now, policy, someFacts, startSha } from "../support/monitored.ts";

const exit = (code: number | null, more: Partial<NonNullable<SeenFacts["exit"]>> = {}) => ({
  code,
  signal: null,
  oom: false,
  endedAt: ago(0.1),
  ...more,
});
const lost = { leaseUntil: ago(3) };
const dead = { process: "dead", pane: "dead" } as const;

describe("a spawning task", () => {
  const starting = (done: ("claim" | "process")[]): Partial<MonitoredTask> => ({
    status: "spawning",
    metadata: { saga: { done, startSha } },
  });
  test.each<[string, Partial<MonitoredTask>, Partial<TaskFacts>, object[]]>([
    ["runs with its first heartbeat", starting(["claim", "process"]), {}, [{ do: "run", reason: "first_heartbeat" }]],
    [
      "runs also when the agent has ended already",
      starting(["claim", "process"]),
      { agent: anAgent({ exit: exit(0) }) },
      [{ do: "run" }],
    ],
    [
      "does not run by the heartbeat of an earlier dispatch",
      { ...starting(["claim", "process"]), updatedAt: ago(1) },
      { agent: anAgent({ dispatchId: "0199b3a0-0000-7000-8000-00000000000f" }) },
      [],
    ],
    [
      "does not run by the heartbeat of an earlier attempt",
      { ...starting(["claim", "process"]), updatedAt: ago(1), attempt: 1 },
      {},
      [],
    ],
    ["waits for the heartbeat", { ...starting(["claim", "process"]), updatedAt: ago(1) }, { agent: undefined }, []],
    [
      "fails when it does not come",
      starting(["claim", "process"]),
      { agent: anAgent({ heartbeatAt: null }) },
      [{ do: "fail", class: "timeout", reason: "no_heartbeat" }],
    ],
    [
      "lets an installer work",
      { ...starting(["claim"]), spawnedAt: ago(30), updatedAt: ago(30) },
      { agent: undefined },
      [],
    ],
    [
      "but not for ever",
      { ...starting(["claim"]), spawnedAt: ago(61) },
      { agent: undefined },
      [{ do: "fail", class: "timeout" }],
    ],
    [
      "counts from its last change when nobody noted the spawn",
      { ...starting([]), metadata: {}, spawnedAt: null, updatedAt: ago(61) },
      { agent: undefined },
      [{ do: "fail", class: "timeout" }],
    ],
    [
      "fails when the program ended before it beat",
      starting(["claim", "process"]),
      { agent: anAgent({ heartbeatAt: null, exit: exit(127) }) },
      [{ do: "fail", class: "environment_error" }],
    ],
    [
      "is lost with its host",
      starting(["claim"]),
      { agent: undefined, host: lost },
      [{ do: "fail", class: "host_lost" }],
    ],
  ])("%s", (_, task, facts, decisions) => expectDecisions({ task, facts }, decisions));
});

describe("what a running agent delivers", () => {
  const retried: Partial<MonitoredTask> = { metadata: {}, attempt: 1 };
  test.each<[string, Partial<MonitoredTask>, Partial<TaskFacts>, object[]]>([
    [
      "a pull request of its own counts at once",
      {},
      { pullRequest: aPullRequest() },
      [{ do: "pr_created", number: 7, headSha }],
    ],
    ["also when it is merged already", {}, { pullRequest: aPullRequest({ state: "merged" }) }, [{ do: "pr_created" }]],
    [
      "also when the host is lost and the operator attached",
      { condition: "operator_attached" },
      { pullRequest: aPullRequest(), host: lost },
      [{ do: "pr_created" }],
    ],
    ["the last attempt's pull request does not", {}, { pullRequest: aPullRequest({ headSha: startSha }) }, []],
    ["nor a closed one", {}, { pullRequest: aPullRequest({ state: "closed" }) }, []],
    [
      "a pushed branch gets its pull request",
      {},
      { branch: { headSha } },
      [{ do: "open_pull_request", headSha, reason: "branch_pushed" }],
    ],
    ["unless pushing opens none", {}, { branch: { headSha }, opensOnPush: false }, []],
    ["a branch that is where it started is no delivery", {}, { branch: { headSha: startSha } }, []],
    [
      "new commits move the old pull request",
      {},
      { branch: { headSha }, pullRequest: aPullRequest({ headSha: startSha }) },
      [{ do: "open_pull_request", headSha }],
    ],
    [
      "without a known start the first attempt's head is its own",
      { metadata: {} },
      { pullRequest: aPullRequest() },
      [{ do: "pr_created" }],
    ],
    ["a later attempt's is not", retried, { pullRequest: aPullRequest(), agent: anAgent({ attempt: 1 }) }, []],
  ])("%s", (_, task, facts, decisions) => expectDecisions({ task, facts }, decisions));
});

describe("a running agent that ended", () => {
  const commits = { headSha, commitsAhead: 1 };
  const byAgent: MonitorPolicy = { ...policy, pr: { ...policy.pr, open: "agent" } };
  test.each<[string, Partial<SeenFacts>, Partial<TaskFacts>, object[]]>([
    ["with commits has them published", { exit: exit(0), ...commits }, {}, [{ do: "publish", headSha }]],
    [
      "with commits has them published whatever its exit code",
      { exit: exit(1), ...commits },
      {},
      [{ do: "publish", headSha }],
    ],
    [
      "with commits whose tip nobody could tell, too",
      { exit: exit(0), commitsAhead: 1, headSha: null },
      {},
      [{ do: "publish", headSha: null }],
    ],
    [
      "with more than it pushed is published again",
      { exit: exit(0), ...commits },
      { branch: { headSha: startSha } },
      [{ do: "publish", headSha }],
    ],
    [
      "with pushed commits lacks only the pull request",
      { exit: exit(0), ...commits },
      { branch: { headSha }, opensOnPush: false },
      [{ do: "open_pull_request", headSha }],
    ],
    [
      "without commits has done nothing, whatever it says",
      { exit: exit(0) },
      {},
      [{ do: "fail", class: "no_evidence", reason: "no_changes" }],
    ],
    [
      "with old commits only has done nothing",
      { exit: exit(0), commitsAhead: 3 },
      {},
      [{ do: "fail", class: "no_evidence" }],
    ],
    ["with an exit code has failed", { exit: exit(2) }, {}, [{ do: "fail", class: "agent_error", reason: "exit_2" }]],
    [
      "out of memory says so",
      { exit: exit(null, { signal: "SIGKILL", oom: true }) },
      {},
      [{ do: "fail", class: "agent_error", reason: "out_of_memory" }],
    ],
    [
      "whose pull request was closed is left to a person",
      { exit: exit(0), ...commits },
      { branch: { headSha }, pullRequest: aPullRequest({ state: "closed" }), opensOnPush: false },
      [{ do: "fail", class: "policy_refusal", reason: "pull_request_closed" }],
    ],
    ["is judged before its host is", { exit: exit(2) }, { host: lost }, [{ do: "fail", class: "agent_error" }]],
    [
      "without a record is gone when both planes said so twice",
      { ...dead, deadProbes: 2 },
      {},
      [{ do: "fail", class: "agent_error", reason: "process_gone" }],
    ],
    [
      "without a record but with commits is published",
      { ...dead, pane: "missing", deadProbes: 2, ...commits },
      {},
      [{ do: "publish" }],
    ],
  ])("%s", (_, agent, facts, decisions) => expectDecisions({ facts: { agent: anAgent(agent), ...facts } }, decisions));

  test("must have opened its pull request itself where the policy says so", () => {
    const facts = someFacts({ agent: anAgent({ exit: exit(0), ...commits }), opensOnPush: false });

    expect(decideTask(aTask(), facts, byAgent, now)).toMatchObject([
      { do: "fail", class: "no_evidence", reason: "no_pull_request" },
    ]);
  });

  test("of a later attempt has no commits that nobody can name", () => {
    const agent = anAgent({ exit: exit(0), commitsAhead: 1, headSha: null, attempt: 1 });
    const task = { attempt: 1 };

    expectDecisions({ task, facts: { agent } }, [{ do: "fail", class: "no_evidence" }]);
  });
});

describe("doubt", () => {
  const doubtful: Partial<MonitoredTask> = { condition: "doubtful", conditionSince: ago(1) };
  test.each<[string, Partial<SeenFacts>, string]>([
    ["a failed process probe", { process: "unknown" }, "probe_failed"],
    ["a failed pane probe, whatever the process", { process: "dead", pane: "unknown", deadProbes: 9 }, "probe_failed"],
    ["one dead look", { ...dead, deadProbes: 1 }, "seen_dead_once"],
    ["planes that contradict each other", { process: "dead", deadProbes: 9 }, "process_dead_pane_alive"],
    ["a process without its pane", { pane: "missing" }, "process_alive_pane_gone"],
    ["a stale heartbeat", { heartbeatAt: ago(1) }, "heartbeat_stale"],
    ["no heartbeat", { heartbeatAt: null }, "heartbeat_stale"],
    ["facts nobody renewed", { observedAt: ago(3) }, "not_seen"],
  ])("%s is quarantined, not judged", (_, agent, reason) => {
    const decisions = [{ do: "set_condition", condition: "doubtful", reason }];
    expectDecisions({ facts: { agent: anAgent(agent) } }, decisions);
    expectDecisions({ task: { ...doubtful, updatedAt: ago(30) }, facts: { agent: anAgent(agent) } }, []);
  });

  test("ends when the facts agree again", () => {
    expectDecisions({ task: doubtful }, [
      { do: "set_condition", condition: "ok", detail: null, reason: "doubtful_over" },
    ]);
  });

  test("an agent its living host does not know is given up after quarantine", () => {
    const facts = { agent: undefined };
    expectDecisions({ task: { updatedAt: ago(1) }, facts }, []);
    expectDecisions({ facts }, [{ do: "set_condition", condition: "doubtful", reason: "not_seen" }]);
    const quarantined = { ...doubtful, conditionSince: ago(3) };
    expectDecisions({ task: quarantined, facts }, [
      { do: "fail", class: "environment_error", reason: "conductor_restart" },
    ]);
    expectDecisions({ task: { ...quarantined, conditionSince: null }, facts }, [{ do: "fail" }]);
    expectDecisions({ task: quarantined, facts: { agent: undefined, host: undefined } }, []);
    expectDecisions({ task: quarantined, facts: { agent: undefined, host: { leaseUntil: ago(1) } } }, []);
  });

  test("does not stop the clock", () => {
    expectDecisions({ task: { ...doubtful, spawnedAt: ago(61) }, facts: { agent: anAgent({ process: "unknown" }) } }, [
      { do: "fail", class: "timeout" },
    ]);
  });
});

describe("limits", () => {
  test.each<[string, Partial<MonitoredTask>, Partial<TaskFacts>, object[]]>([
    ["time is up", { spawnedAt: ago(60) }, {}, [{ do: "fail", class: "timeout", reason: "timeout" }]],
    ["time of waiting for others does not count", { spawnedAt: ago(90) }, { excusedMs: 31 * 60_000 }, []],
    ["no clock runs before the spawn is noted", { spawnedAt: null }, {}, []],
    [
      "the budget is spent",
      { budget: { tokens: 10 }, spend: { tokens: 11 } },
      {},
      [{ do: "fail", class: "budget_exceeded" }],
    ],
    ["the host is lost after its grace", {}, { host: lost }, [{ do: "fail", class: "host_lost" }]],
    ["but not within it", {}, { host: { leaseUntil: ago(1) } }, []],
    ["quiet for long: nudged", {}, { agent: anAgent({ progressAt: ago(11) }) }, [{ do: "nudge" }]],
    [
      "quiet after the nudge: stalled",
      {},
      { agent: anAgent({ progressAt: ago(30), nudgedAt: ago(11) }) },
      [{ do: "fail", class: "stall" }],
    ],
    ["no facts yet: nothing", { updatedAt: ago(1) }, { agent: undefined }, []],
  ])("%s", (_, task, facts, decisions) => expectDecisions({ task, facts }, decisions));
});

describe("waiting for somebody else", () => {
  const quiet = anAgent({ progressAt: ago(50), nudgedAt: ago(40) });
  const asks = { ...quiet, needsInput: { text: "May I?" } };
  test.each<[string, Partial<MonitoredTask>, SeenFacts, object[]]>([
    [
      "a question is flagged, not counted as a stall",
      {},
      asks,
      [{ do: "set_condition", condition: "needs_input", detail: { text: "May I?" } }],
    ],
    ["and waits", { condition: "needs_input", conditionSince: ago(60), spawnedAt: ago(90) }, asks, []],
    [
      "until it is answered",
      { condition: "needs_input", conditionSince: ago(60) },
      quiet,
      [{ do: "set_condition", condition: "ok" }],
    ],
    [
      "or nobody answers for too long",
      { condition: "needs_input", conditionSince: ago(1_440) },
      asks,
      [{ do: "fail", class: "policy_refusal", reason: "question_unanswered" }],
    ],
    [
      "a quota waits",
      { condition: "waiting_quota", conditionDetail: { until: new Date(now.getTime() + 1).toISOString() } },
      quiet,
      [],
    ],
    [
      "until its time",
      { condition: "waiting_quota", conditionDetail: { until: now.toISOString() } },
      quiet,
      [{ do: "set_condition", condition: "ok" }],
    ],
    [
      "also as a date",
      { condition: "waiting_quota", conditionDetail: { until: now } },
      quiet,
      [{ do: "set_condition", condition: "ok" }],
    ],
    [
      "without a time it waits as long as patience lasts",
      { condition: "waiting_quota", conditionDetail: { until: "soon" }, conditionSince: ago(1_440) },
      quiet,
      [{ do: "fail", class: "provider_limit" }],
    ],
    [
      "a paused agent is left alone, also when it asks",
      { condition: "paused", conditionSince: ago(60), spawnedAt: ago(90) },
      asks,
      [],
    ],
    [
      "and held in the end",
      { condition: "paused", conditionSince: ago(10_080) },
      quiet,
      [{ do: "hold", reason: "paused_too_long" }],
    ],
    [
      "an attached operator is not judged, not even when the agent ended",
      { condition: "operator_attached", conditionSince: ago(60) },
      anAgent({ exit: exit(2) }),
      [],
    ],
    [
      "but reminded",
      { condition: "operator_attached", conditionSince: null, updatedAt: ago(721) },
      quiet,
      [{ do: "hold", reason: "attached_too_long" }],
    ],
    [
      "waiting for a slot is over when the agent runs",
      { condition: "waiting_slot" },
      anAgent(),
      [{ do: "set_condition", condition: "ok" }],
    ],
  ])("%s", (_, task, agent, decisions) => expectDecisions({ task, facts: { agent } }, decisions));
});

function expectDecisions(
  given: { task?: Partial<MonitoredTask>; facts?: Partial<TaskFacts> },
  decisions: readonly object[],
): void {
  expect(decideTask(aTask(given.task), someFacts(given.facts), policy, now)).toMatchObject(decisions);
}
