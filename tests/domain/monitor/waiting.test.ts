/** Decisions about a working agent: doubt, limits, and waiting for others. */
import { describe, expect, test } from "vitest";
import type { MonitoredTask, TaskFacts } from "../../../src/domain/monitor/decision.ts";
import type { StoredAgentFacts } from "../../../src/domain/monitor/facts.ts";
import { decideTask } from "../../../src/domain/monitor/decide-task.ts";
import { ago, anAgent, aTask, now, policy, someTaskFacts } from "../../support/monitored.ts";

const exit = (code: number | null, more: Partial<NonNullable<StoredAgentFacts["exit"]>> = {}) => ({
  code,
  signal: null,
  oom: false,
  endedAt: ago(0.1),
  ...more,
});
const lost = { leaseUntil: ago(3) };
const dead = { process: "dead", pane: "dead" } as const;

describe("doubt", () => {
  const doubtful: Partial<MonitoredTask> = { condition: "doubtful", conditionSince: ago(1) };
  test.each<[string, Partial<StoredAgentFacts>, string]>([
    ["a failed process probe", { process: "unknown" }, "probe_failed"],
    ["a failed pane probe, whatever the process", { process: "dead", pane: "unknown", deadProbes: 9 }, "probe_failed"],
    ["one dead look", { ...dead, deadProbes: 1 }, "seen_dead_once"],
    ["planes that contradict each other", { process: "dead", deadProbes: 9 }, "process_dead_pane_alive"],
    ["a process without its pane", { pane: "missing" }, "process_alive_pane_gone"],
    ["a stale heartbeat", { heartbeatAt: ago(1) }, "heartbeat_stale"],
    ["no heartbeat", { heartbeatAt: null }, "heartbeat_stale"],
    ["facts nobody renewed", { observedAt: ago(3) }, "not_seen"],
  ])("%s is quarantined, not decided", (_, agent, reason) => {
    const decisions = [{ do: "set_condition", condition: "doubtful", reason }];
    expectDecisions({ facts: { agent: anAgent(agent) } }, decisions);
    expectDecisions({ task: { ...doubtful, updatedAt: ago(30) }, facts: { agent: anAgent(agent) } }, []);
  });

  test("ends when the facts agree again", () => {
    expectDecisions({ task: doubtful }, [
      { do: "set_condition", condition: "ok", detail: null, reason: "doubtful_over" },
    ]);
  });

  test("an agent that its live host does not know fails after the quarantine", () => {
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

const quiet = anAgent({ progressAt: ago(50), nudgedAt: ago(40) });
const asks = { ...quiet, needsInput: { text: "May I?" } };

const WAITING: [string, Partial<MonitoredTask>, StoredAgentFacts, object[]][] = [
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
];

describe("waiting for others", () => {
  test.each(WAITING)("%s", (_, task, agent, decisions) => expectDecisions({ task, facts: { agent } }, decisions));
});

function expectDecisions(
  given: { task?: Partial<MonitoredTask>; facts?: Partial<TaskFacts> },
  decisions: readonly object[],
): void {
  expect(decideTask(aTask(given.task), someTaskFacts(given.facts), policy, now)).toMatchObject(decisions);
}
