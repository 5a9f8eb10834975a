/** An agent as `fleet ps` shows it: its row in the registry, joined with what its host last observed. */
import { z } from "zod";
import { Condition, isTerminal, shortId, TaskStatus, type Task } from "../domain/task/task.ts";
import type { EstopSwitch } from "../domain/task/kill-switch.ts";
import { healthOf } from "../domain/monitor/heartbeat.ts";
import { explainTask } from "../domain/task/explain-task.ts";
import { HoldView, Stops, viewHold } from "./estop.ts";
import { toIsoOrNull } from "./fields.ts";
import { Spend, viewSpend } from "./task.ts";

export const WaitView = z
  .object({
    why: z.string(),
    position: z
      .int()
      .nullable()
      .meta({ description: "How many tasks are ahead of it in the queue; null: it is not queued, or far behind" }),
  })
  .meta({ id: "Wait" });

/** The schema is stable: fields are added, never renamed or removed. It always has both `tenant_id` and `tenantId`. */
export const AgentView = z
  .object({
    name: z.string().meta({ description: "The short id of the task, or the name of a roster agent" }),
    kind: z.enum(["task", "roster"]),
    tenantId: z.string(),
    tenant_id: z.string(),
    host: z.string().nullable(),
    runtime: z.literal("tmux"),
    agentType: z.string(),
    model: z.string().nullable(),
    taskId: z.uuid().nullable(),
    title: z.string().nullable(),
    status: TaskStatus.nullable(),
    condition: Condition.nullable(),
    since: z.iso.datetime().nullable().meta({ description: "When the task entered this status, as far as known" }),
    systemd: z.string().nullable().meta({ description: "active/enabled; null where it does not apply" }),
    pane: z.enum(["alive", "dead", "unknown"]),
    pid: z.int().nullable(),
    idleMs: z.number().nullable().meta({ description: "Milliseconds since the last sign of progress" }),
    heartbeatAgeMs: z.number().nullable(),
    health: z.enum(["healthy", "stale", "unknown"]),
    attempt: z.int(),
    maxRetries: z.int().nullable(),
    spend: Spend,
    prNumber: z.int().nullable(),
    ciStatus: z.string().nullable(),
    stopped: HoldView.nullable().meta({ description: "The kill switch that stops it" }),
    waits: WaitView.nullable().meta({ description: "Why it does not start, and its position; null: it does not wait" }),
    drift: z
      .string()
      .nullable()
      .meta({ description: "How the declared runtime or program differs from the actual one" }),
    bootEnable: z
      .string()
      .nullable()
      .meta({ description: "Warning: it is active now, but would not start again after a reboot" }),
    observedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: "Agent" });
export type AgentView = z.infer<typeof AgentView>;

export const HostView = z
  .object({
    id: z.string(),
    name: z.string(),
    state: z.enum(["up", "draining", "lost"]),
    slots: z.int(),
    free: z.int(),
    load: z.number().nullable(),
    diskFreeBytes: z.number().nullable(),
    version: z.string().nullable(),
    seenAgoMs: z.number().nullable(),
  })
  .meta({ id: "Host" });
export type HostView = z.infer<typeof HostView>;

/** A process or session without an agent in the registry. It is shown, never killed automatically. */
export const OrphanView = z
  .object({
    tenantId: z.string().nullable(),
    tenant_id: z.string().nullable(),
    host: z.string(),
    session: z.string().nullable(),
    pid: z.int().nullable(),
    why: z.string(),
  })
  .meta({ id: "Orphan" });

export const PsView = z
  .object({
    at: z.iso.datetime(),
    agents: z.array(AgentView),
    hosts: z.array(HostView),
    orphans: z.array(OrphanView),
    stops: Stops,
    missing: z.array(z.string()).meta({ description: "What could not be inspected, one sentence each" }),
  })
  .meta({ id: "Ps" });
export type PsView = z.infer<typeof PsView>;

export const PsQuery = z.strictObject({
  all: z.stringbool().default(false).meta({ description: "Also tasks that are over" }),
  tenant: z.string().max(128).optional().meta({ description: "Another tenant (role admin)" }),
  host: z.string().max(256).optional(),
  status: TaskStatus.optional(),
  orphans: z
    .stringbool()
    .default(false)
    .meta({ description: "Also processes and sessions without an agent in the registry" }),
});
export type PsQuery = z.infer<typeof PsQuery>;

/**
 * The part of the reply that counts as a change. Ages and load change all the time without meaning; `health` and `state`
 * say when something has been silent for too long.
 */
export function stableAgent({ idleMs: _i, heartbeatAgeMs: _h, observedAt: _o, ...rest }: AgentView): object {
  return rest;
}

export function stableHost({ load: _l, diskFreeBytes: _d, seenAgoMs: _s, ...rest }: HostView): object {
  return rest;
}

export function stablePs({ at: _at, agents, hosts, ...rest }: PsView): object {
  return { ...rest, agents: agents.map((agent) => stableAgent(agent)), hosts: hosts.map((host) => stableHost(host)) };
}

/** What a host last observed of an agent; everything may be missing. */
export interface AgentObservation {
  readonly paneAlive?: boolean | null;
  readonly pid?: number | null;
  readonly beatAt?: Date | null;
  readonly progressAt?: Date | null;
  readonly observedAt?: Date | null;
  readonly drift?: string | null;
  readonly hold?: EstopSwitch | undefined;
  readonly position?: number | undefined;
}

export function viewTaskAgent(
  task: Task,
  observation: AgentObservation,
  { now, intervalMs }: { now: Date; intervalMs: number },
): AgentView {
  return {
    name: shortId(task.id),
    kind: "task",
    tenantId: task.tenantId,
    tenant_id: task.tenantId,
    host: task.host,
    runtime: task.runtime,
    agentType: task.agentType,
    model: task.model,
    taskId: task.id,
    title: task.title,
    status: task.status,
    condition: task.condition,
    since: task.updatedAt.toISOString(),
    systemd: null,
    pane:
      observation.paneAlive === undefined || observation.paneAlive === null
        ? "unknown"
        : observation.paneAlive
          ? "alive"
          : "dead",
    pid: observation.pid ?? null,
    idleMs: ageMs(observation.progressAt, now),
    heartbeatAgeMs: ageMs(observation.beatAt, now),
    health: healthOf(observation.beatAt ?? undefined, intervalMs, now),
    attempt: task.attempt,
    maxRetries: task.maxRetries,
    spend: viewSpend(task.spend),
    prNumber: task.prNumber,
    ciStatus: task.ciStatus,
    stopped: viewHold(observation.hold),
    waits: viewWait(task, observation.position),
    drift: observation.drift ?? null,
    bootEnable: null,
    observedAt: toIsoOrNull(observation.observedAt),
  };
}

/** Of a task that waits for its first start, or for its next. */
export function viewWait(task: Task, position: number | undefined): AgentView["waits"] {
  const waits = task.condition === "waiting_slot" || task.status === "proposed" || task.status === "retrying";
  return waits && !isTerminal(task.status) ? { why: explainTask(task).why, position: position ?? null } : null;
}

function ageMs(at: Date | null | undefined, now: Date): number | null {
  return at ? Math.max(0, now.getTime() - at.getTime()) : null;
}
