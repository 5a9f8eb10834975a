/** What the API returns about a task: complete, without secrets, and with an explanation for every status. */
import { describe, expect, test } from "vitest";
import { explainTask } from "../../src/domain/task/explain-task.ts";
import { Condition, TaskStatus, type FailureContext, type Task } from "../../src/domain/task/task.ts";
import { StoryView, viewStory, type HistoryEntry } from "../../src/views/task-details.ts";
import { TaskView, viewTask } from "../../src/views/task.ts";
import { aTaskView } from "../support/views.ts";

const { shortId: _short, session: _session, failure: _failure, ...shared } = aTaskView();

function aTask(but: Partial<Task> = {}): Task {
  const at = new Date("2026-05-01T12:00:00Z");
  return {
    ...shared,
    workspacePath: "/home/fleet/copies/1",
    tmuxSession: "fleet-a1b2c3d4-1",
    conditionSince: null,
    epoch: 3,
    dispatchId: null,
    leaseUntil: null,
    dueAt: null,
    reviewStatus: null,
    doneStatus: null,
    budget: {},
    contextHash: null,
    failureContext: null,
    metadata: { command: ["deploy", "--token", "hush"] },
    idempotencyKey: "key",
    auditHead: "h",
    auditSeq: 1,
    traceId: null,
    spawnedAt: at,
    completedAt: null,
    createdAt: at,
    updatedAt: at,
    ...but,
  };
}

const failure: FailureContext = {
  class: "ci_failed",
  reason: "ci_failed",
  summary: "2 tests fail",
  attempt: 0,
  signature: "s",
};

test("a task's view has no command, key, workspace or token of its repository", () => {
  const view = viewTask(aTask({ repository: "https://bot:ghp_token@git.example/shop.git" }));

  expect(TaskView.parse(view)).toEqual(view);
  expect(view.repository).toBe("https://git.example/shop.git");
  expect(JSON.stringify(view)).not.toMatch(/hush|ghp_token|"key"|\/home\/fleet/);
});

const second = (at: number) => new Date(Date.UTC(2026, 4, 1, 12, 0, at));
const entry = (at: number, to: TaskStatus | null, more: Partial<HistoryEntry> = {}): HistoryEntry => ({
  at: second(at),
  actor: "monitor",
  text: to ?? "a word",
  to,
  ...more,
});

test("the details of a task show how long each status lasted, and how each attempt ended", () => {
  const history = [
    entry(0, "proposed"),
    entry(1, "spawning", { attempt: 0 }),
    entry(3, "running"),
    entry(5, null),
    entry(9, "failed", { failure }),
    entry(10, "retrying"),
    entry(20, "spawning", { attempt: 1 }),
    entry(22, "running"),
  ];
  const story = viewStory({ task: aTask({ failureContext: failure }), history });

  expect(StoryView.parse(story)).toEqual(story);
  expect(story.timeline.map(({ tookMs }) => tookMs)).toEqual([1_000, 2_000, 6_000, null, 1_000, 10_000, 2_000, null]);
  expect(story.attempts).toMatchObject([
    { attempt: 0, outcome: "failed", tookMs: 8_000, failure: { summary: "2 tests fail" } },
    { attempt: 1, outcome: "running", tookMs: null, failure: null },
  ]);
});

describe("outlookOf", () => {
  test.each(TaskStatus.options)("says why a task is %s, and what happens next", (status) => {
    const { why, next } = explainTask(aTask({ status, failureContext: failure }));
    expect(why).toMatch(/^[A-Z].+[.]$/);
    expect(next).toMatch(/^[A-Z].+[.]$/);
  });

  test.each(Condition.options.filter((condition) => condition !== "ok"))(
    "explains %s before the status",
    (condition) => {
      expect(explainTask(aTask({ condition }))).not.toEqual(explainTask(aTask()));
      expect(explainTask(aTask({ condition, status: "merged" }))).toEqual(explainTask(aTask({ status: "merged" })));
    },
  );

  test.each([
    [
      "its own budget",
      { budget: { tokens: 10 }, spend: { tokens: 10 } },
      /own budget is used up.*fleet spawn --max-tokens/,
    ],
    ["its tenant's", { budget: {}, spend: { tokens: 10 } }, /an admin .*fleet budget set.*fleet retry/],
  ] as const)("names the remedy when %s stopped the task, however many retries are left", (_, used, next) => {
    const failureContext = { ...failure, class: "budget_exceeded", reason: "budget_exceeded" } as const;
    for (const retryCount of [0, 3]) {
      const task = { status: "failed", retryCount, failureContext, ...used } as const;
      const detail = { text: "The budget is used up", held: true };
      for (const shown of [aTask(task), aTask({ ...task, condition: "needs_input", conditionDetail: detail })]) {
        expect(explainTask(shown)).toEqual({
          why: "Attempt 2 failed: budget exceeded.",
          next: expect.stringMatching(next),
        });
      }
    }
  });

  test("says that a refusal waits for a person", () => {
    const failureContext = { ...failure, class: "policy_refusal" } as const;
    expect(explainTask(aTask({ status: "failed", failureContext })).next).toContain("fleet retry");
  });

  test("knows when no retry is left", () => {
    expect(explainTask(aTask({ status: "failed", retryCount: 3 })).next).toBe(
      "No retry is left: it will be abandoned.",
    );
    expect(explainTask(aTask({ status: "failed", retryCount: 2 })).next).toContain("1 retry left");
  });
});
