/** Tasks and facts as the monitor sees them: a healthy running agent unless a test says otherwise. */
import type { MonitorPolicy } from "../../src/domain/settings/monitor.ts";
import type { MonitoredTask, TaskFacts } from "../../src/domain/monitor/decision.ts";
import type { StoredAgentFacts } from "../../src/domain/monitor/facts.ts";
import { Settings } from "../../src/domain/settings/settings.ts";

export const now = new Date("2026-01-01T12:00:00Z");
export const ago = (minutes: number): Date => new Date(now.getTime() - minutes * 60_000);

export const startSha = "0".repeat(40);
export const headSha = "a".repeat(40);
const dispatchId = "0199b3a0-0000-7000-8000-000000000001";

export const policy: MonitorPolicy = Settings.parse({});

export function aTask(task: Partial<MonitoredTask> = {}): MonitoredTask {
  return {
    status: "running",
    condition: "ok",
    conditionDetail: null,
    conditionSince: null,
    attempt: 0,
    dispatchId,
    host: "host-1",
    reviewStatus: null,
    spawnedAt: ago(5),
    updatedAt: ago(5),
    timeoutMinutes: 60,
    budget: {},
    spend: {},
    metadata: { saga: { done: ["claim", "workspace", "install", "prompt", "process", "heartbeat"], startSha } },
    ...task,
  };
}

export function anAgent(agent: Partial<StoredAgentFacts> = {}): StoredAgentFacts {
  return {
    taskId: "0199b3a0-0000-7000-8000-000000000000",
    attempt: 0,
    dispatchId,
    pane: "alive",
    process: "alive",
    pid: 42,
    heartbeatAt: ago(0.1),
    heartbeatStatus: "busy",
    exit: null,
    outBytes: 10,
    cpuMs: 10,
    lastOutputAt: ago(0.1),
    headSha: startSha,
    commitsAhead: 0,
    observedAt: ago(0.05),
    host: "host-1",
    progressAt: ago(0.1),
    nudgedAt: null,
    deadProbes: 0,
    needsInput: null,
    ...agent,
  };
}

export function someTaskFacts(facts: Partial<TaskFacts> = {}): TaskFacts {
  return {
    agent: anAgent(),
    host: { leaseUntil: new Date(now.getTime() + 15_000) },
    branch: undefined,
    pullRequest: undefined,
    ci: { configured: true, required: true, headSha: undefined, status: "none", errors: 0, since: undefined },
    review: { round: 0, headSha: undefined, startedAt: undefined },
    opensOnPush: true,
    excusedMs: 0,
    ...facts,
  };
}

export function aPullRequest(
  pullRequest: Partial<NonNullable<TaskFacts["pullRequest"]>> = {},
): NonNullable<TaskFacts["pullRequest"]> {
  return { number: 7, state: "open", headSha, mergeSha: null, ...pullRequest };
}
