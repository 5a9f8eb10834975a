/** Test data, valid by default: a test names only what it is about. */
import { randomBytes, randomUUID } from "node:crypto";
import { v7 } from "uuid";
import type { AgentFacts } from "../../src/domain/monitor/facts.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { shortId, type Task } from "../../src/domain/task/task.ts";
import type { TaskNotification } from "../../src/store/transitions.ts";
import type { NewTask } from "../../src/store/tasks.ts";
import { createHint, type Hint } from "../../src/store/outbox.ts";
import { spawnQueue } from "../../queues/spawn.ts";

/** An operator of a tenant that no other test uses. */
export function anOperator(operator: Partial<Operator> = {}): Operator {
  const name = randomBytes(4).toString("hex");
  return { id: `ada-${name}`, tenantId: `acme-${name}`, tier: "sovereign", ...operator };
}

export function aNewTask(operator: Operator, task: Partial<NewTask> = {}): NewTask {
  const id = v7();
  return {
    id,
    tenantId: operator.tenantId,
    operatorId: operator.id,
    agentType: "stub",
    model: null,
    routingReason: null,
    taskType: "feature",
    title: "Say hello",
    description: "Print hello and commit.",
    repository: "/srv/repositories/hello.git",
    baseBranch: "main",
    branch: `fleet/${shortId(id)}-say-hello`,
    maxRetries: 3,
    timeoutMinutes: 60,
    metadata: {},
    idempotencyKey: null,
    traceId: null,
    requestHash: "0".repeat(64),
    ...task,
  };
}

export function anEvent(type = "fleet.task.state"): Record<string, unknown> {
  return { specversion: "1.0", id: randomUUID(), type, source: "/tests", data: {} };
}

export function aNote(note: Partial<TaskNotification> = {}): TaskNotification {
  return { type: "cancelled", summary: "It was stopped.", facts: {}, channels: ["terminal"], ...note };
}

/** The hint that requests the task's spawn under the epoch it will have. */
export function aHint(task: Pick<Task, "id" | "epoch">, epoch = task.epoch + 1): Hint {
  return createHint(spawnQueue, { taskId: task.id, epoch });
}

/** What its host observes of a healthy agent of this task. */
export function someAgentFacts(
  task: Pick<Task, "id" | "attempt" | "dispatchId">,
  facts: Partial<AgentFacts> = {},
): AgentFacts {
  const now = new Date();
  return {
    taskId: task.id,
    attempt: task.attempt,
    dispatchId: task.dispatchId ?? randomUUID(),
    pane: "alive",
    process: "alive",
    pid: 4_242,
    heartbeatAt: now,
    heartbeatStatus: "busy",
    exit: null,
    outBytes: 0,
    cpuMs: 0,
    lastOutputAt: null,
    headSha: null,
    commitsAhead: 0,
    observedAt: now,
    ...facts,
  };
}
