/** Sample responses of a server, for tests of their readers. */
import type { AgentView, PsView } from "../../src/views/agent.ts";
import type { StoryView } from "../../src/views/task-details.ts";
import type { TaskView } from "../../src/views/task.ts";

export const NOW = new Date("2026-05-01T12:30:00.000Z");
export const TASK_ID = "01969f7e-0000-7000-8000-0000a1b2c3d4";

export function aTaskView(overrides: Partial<TaskView> = {}): TaskView {
  return {
    id: TASK_ID,
    shortId: "a1b2c3d4",
    tenantId: "acme",
    operatorId: "ada",
    title: "Fix the flaky login test",
    description: "Fix the flaky login test",
    repository: "/srv/git/shop.git",
    baseBranch: "main",
    branch: "fleet/a1b2c3d4-fix-the-flaky-login-test",
    agentType: "claude_code",
    model: "claude-opus-4-6",
    routingReason: "default for bug_fix",
    taskType: "bug_fix",
    status: "running",
    condition: "ok",
    conditionDetail: null,
    conditionSince: null,
    waitingFor: null,
    dueAt: null,
    host: "build-1",
    runtime: "tmux",
    session: "fleet-a1b2c3d4-1",
    version: 7,
    attempt: 1,
    retryCount: 1,
    maxRetries: 3,
    timeoutMinutes: 60,
    prNumber: null,
    prUrl: null,
    headSha: null,
    ciStatus: "none",
    failure: null,
    spend: { tokens: 41_300, cost: 0.62, minutes: 11 },
    budget: { tokens: null, cost: null, minutes: null },
    createdAt: "2026-05-01T12:00:00.000Z",
    spawnedAt: "2026-05-01T12:15:02.000Z",
    completedAt: null,
    updatedAt: "2026-05-01T12:15:04.000Z",
    ...overrides,
  };
}

export function anAgentView(overrides: Partial<AgentView> = {}): AgentView {
  return {
    name: "a1b2c3d4",
    kind: "task",
    tenantId: "acme",
    tenant_id: "acme",
    host: "build-1",
    runtime: "tmux",
    agentType: "claude_code",
    model: "claude-opus-4-6",
    taskId: TASK_ID,
    title: "Fix the flaky login test",
    status: "running",
    condition: "ok",
    since: "2026-05-01T12:15:04.000Z",
    systemd: null,
    pane: "alive",
    pid: 4_711,
    idleMs: 3_200,
    heartbeatAgeMs: 6_000,
    health: "healthy",
    attempt: 1,
    maxRetries: 3,
    spend: { tokens: 41_300, cost: 0.62, minutes: 11 },
    prNumber: null,
    ciStatus: "none",
    stopped: null,
    waits: null,
    drift: null,
    bootEnable: null,
    observedAt: "2026-05-01T12:29:58.000Z",
    ...overrides,
  };
}

const PS: PsView = {
  at: NOW.toISOString(),
  agents: [
    anAgentView(),
    anAgentView({
      name: "77e0f1aa",
      title: "Add CSV export to orders",
      status: "reviewing",
      agentType: "codex",
      model: "codex-mini-latest",
      pane: "dead",
      pid: null,
      idleMs: null,
      heartbeatAgeMs: null,
      health: "unknown",
      attempt: 0,
      prNumber: 12,
    }),
    anAgentView({
      name: "0c9d8e7f",
      title: "Which \u001B]52;c;cm0=\u0007database\u202E do you mean?",
      condition: "needs_input",
      host: "build-2",
      idleMs: 240_000,
    }),
    anAgentView({
      name: "5b5b5b5b",
      title: "日本語の説明を直す",
      health: "stale",
      heartbeatAgeMs: 200_000,
      drift: "declared tmux, runs bash",
    }),
  ],
  hosts: [
    {
      id: "h1",
      name: "build-1",
      state: "up",
      slots: 4,
      free: 1,
      load: 0.8,
      diskFreeBytes: 5e10,
      version: "0.1.0",
      seenAgoMs: 900,
    },
    {
      id: "h2",
      name: "build-2",
      state: "lost",
      slots: 4,
      free: 4,
      load: null,
      diskFreeBytes: null,
      version: null,
      seenAgoMs: 90_000,
    },
  ],
  orphans: [],
  stops: [],
  missing: [],
};

export function aPsView(overrides: Partial<PsView> = {}): PsView {
  return { ...PS, ...overrides };
}

const at = (clock: string) => `2026-05-01T${clock}.000Z`;

const failure = {
  class: "ci_failed",
  reason: "ci_failed",
  summary: "2 tests fail: login › keeps the session",
  attempt: 0,
  exitCode: 0,
  signal: null,
} as const;

const STORY: StoryView = {
  task: aTaskView({ failure }),
  why: "The agent works on build-1.",
  next: "It continues until there is a pull request, for at most 60 minutes.",
  stopped: null,
  waits: null,
  timeline: [
    { at: at("12:00:00"), status: "proposed", attempt: 0, actor: "ada", text: "asked for", tookMs: 400 },
    { at: at("12:00:01"), status: "spawning", attempt: 0, actor: "build-1", text: "taken by build-1", tookMs: 1_700 },
    { at: at("12:00:03"), status: "running", attempt: 0, actor: "build-1", text: "first heartbeat", tookMs: 611_000 },
    {
      at: at("12:10:14"),
      status: "pr_created",
      attempt: 0,
      actor: "monitor",
      text: "pull request #11",
      tookMs: 92_000,
    },
    {
      at: at("12:11:46"),
      status: "failed",
      attempt: 0,
      actor: "monitor",
      text: "CI failing: 2 tests fail",
      tookMs: 100,
    },
    {
      at: at("12:11:46"),
      status: "retrying",
      attempt: 1,
      actor: "retry",
      text: "again in 3 min, told what was learnt",
      tookMs: 196_000,
    },
    {
      at: at("12:15:02"),
      status: "spawning",
      attempt: 1,
      actor: "build-1",
      text: "same working copy",
      tookMs: 2_000,
    },
    { at: at("12:15:04"), status: "running", attempt: 1, actor: "build-1", text: "first heartbeat", tookMs: null },
    { at: at("12:20:00"), status: null, attempt: 1, actor: "ada", text: "sent a message", tookMs: null },
  ],
  attempts: [
    { attempt: 0, startedAt: at("12:00:01"), endedAt: at("12:11:46"), tookMs: 705_000, outcome: "failed", failure },
    { attempt: 1, startedAt: at("12:15:02"), endedAt: null, tookMs: null, outcome: "running", failure: null },
  ],
  agent: anAgentView(),
  pullRequest: {
    number: 11,
    url: "http://127.0.0.1:8080/pulls/11",
    state: "open",
    title: "Fix the flaky login test",
    headSha: "f00d",
    additions: 14,
    deletions: 3,
    files: 2,
  },
  ci: [
    { name: "test", state: "failing", tookMs: 81_000 },
    { name: "lint", state: "passing", tookMs: 9_000 },
  ],
  reviews: [
    { reviewer: "security", verdict: "approve", summary: "No new input is trusted.", findings: [], tookMs: 40_000 },
    {
      reviewer: "logic",
      verdict: "request_changes",
      summary: "The timer is never cleared.",
      tookMs: 52_000,
      findings: [{ file: "src/login.ts", line: 42, severity: "major", message: "clearTimeout is missing" }],
    },
    { reviewer: "architecture", verdict: "pending", summary: "", findings: [], tookMs: null },
  ],
  done: [
    { name: "pull request open", state: "holds", evidence: "#11" },
    { name: "CI passing", state: "fails", evidence: "test failed" },
    { name: "reviews passing", state: "open", evidence: "1 of 3" },
  ],
  learnt: ["The session cookie is set twice; do not add a third."],
};

export function aStoryView(overrides: Partial<StoryView> = {}): StoryView {
  return { ...STORY, ...overrides };
}
