/** Decisions about an agent that starts, delivers or ends: each fact alone, and which fact takes precedence. */
import { describe, expect, test } from "vitest";
import type { MonitorPolicy } from "../../../src/domain/settings/monitor.ts";
import type { MonitoredTask, TaskFacts } from "../../../src/domain/monitor/decision.ts";
import type { StoredAgentFacts } from "../../../src/domain/monitor/facts.ts";
import { decideTask } from "../../../src/domain/monitor/decide-task.ts";
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

const exit = (code: number | null, more: Partial<NonNullable<StoredAgentFacts["exit"]>> = {}) => ({
  code,
  signal: null,
  oom: false,
  endedAt: ago(0.1),
  ...more,
});
const lost = { leaseUntil: ago(3) };
const dead = { process: "dead", pane: "dead" } as const;

const SPAWNING: [string, Partial<MonitoredTask>, Partial<TaskFacts>, object[]][] = [
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
];

describe("a spawning task", () => {
  test.each(SPAWNING)("%s", (_, task, facts, decisions) => expectDecisions({ task, facts }, decisions));
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

const commits = { headSha, commitsAhead: 1 };

const ENDED: [string, Partial<StoredAgentFacts>, Partial<TaskFacts>, object[]][] = [
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
];

describe("a running agent that ended", () => {
  const byAgent: MonitorPolicy = { ...policy, pr: { ...policy.pr, open: "agent" } };
  test.each(ENDED)("%s", (_, agent, facts, decisions) =>
    expectDecisions({ facts: { agent: anAgent(agent), ...facts } }, decisions),
  );

  test("must have opened its pull request itself where the policy requires it", () => {
    const facts = someTaskFacts({ agent: anAgent({ exit: exit(0), ...commits }), opensOnPush: false });

    expect(decideTask(aTask(), facts, byAgent, now)).toMatchObject([
      { do: "fail", class: "no_evidence", reason: "no_pull_request" },
    ]);
  });

  test("of a later attempt has no commits whose head is unknown", () => {
    const agent = anAgent({ exit: exit(0), commitsAhead: 1, headSha: null, attempt: 1 });
    const task = { attempt: 1 };

    expectDecisions({ task, facts: { agent } }, [{ do: "fail", class: "no_evidence" }]);
  });
});

function starting(done: ("claim" | "process")[]): Partial<MonitoredTask> {
  return { status: "spawning", metadata: { saga: { done, startSha } } };
}

function expectDecisions(
  given: { task?: Partial<MonitoredTask>; facts?: Partial<TaskFacts> },
  decisions: readonly object[],
): void {
  expect(decideTask(aTask(given.task), someTaskFacts(given.facts), policy, now)).toMatchObject(decisions);
}
