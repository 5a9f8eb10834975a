/** GET /ps and /hosts: the state of agents and hosts. */
import { z } from "zod";
import { findEstopHolds } from "../../conductor/attempts/estop.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { listAgents, type AgentList } from "../../conductor/tasks/find.ts";
import type { StoredAgentFacts } from "../../domain/monitor/facts.ts";
import { assertAdmin } from "../../domain/operator.ts";
import { TaskStatus, TERMINAL_STATUSES } from "../../domain/task/task.ts";
import {
  HostView,
  stableHost,
  stablePs,
  PsQuery,
  PsView,
  viewTaskAgent,
  type AgentObservation,
} from "../../views/agent.ts";
import { viewEstops } from "../../views/estop.ts";
import { defineRoute } from "../route.ts";

const About = "304 means no change but in ages, load and the time of the request. Whether";

const MAX_AGENTS = 2_000;
const LIVE = TaskStatus.options.filter((status) => !TERMINAL_STATUSES.includes(status));

export const psRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/ps",
    tier: "observer",
    summary: "Every agent and its state",
    description: `${About} an agent is silent is in \`health\``,
    query: PsQuery,
    reply: PsView,
    etagOf: stablePs,
  },
  async (fleet: Fleet, { operator, query }) => {
    if (query.tenant && query.tenant !== operator.tenantId) assertAdmin(operator, "Listing agents of another tenant");
    const now = fleet.clock();
    const { tasks, facts, hosts, positions } = await listAgents(fleet, operator, {
      all: operator.role === "admin",
      statuses: query.status ? [query.status] : query.all ? undefined : LIVE,
      tenantId: query.tenant,
      host: query.host,
      limit: MAX_AGENTS,
    });
    const { stops, holds } = await findEstopHolds(fleet, operator, tasks);
    const orphans = query.orphans ? await fleet.agents.listOrphans() : [];
    return {
      body: {
        at: now.toISOString(),
        agents: tasks.map((task) =>
          viewTaskAgent(
            task,
            {
              ...toObservation(facts.get(task.id), task.attempt),
              hold: holds.get(task.id),
              position: positions.get(task.id),
            },
            { now, intervalMs: fleet.heartbeatIntervalMs },
          ),
        ),
        hosts: hosts.map((host) => viewHost(host, now)),
        orphans: orphans.map(({ kind, name, pid, taskId }) => ({
          tenantId: null,
          tenant_id: null,
          host: fleet.host.id,
          session: kind === "session" ? name : null,
          pid,
          why: taskId ? `belongs to no open attempt of task ${taskId}` : "the registry has no agent for it",
        })),
        stops: viewEstops(stops),
        missing: query.orphans && hosts.length > 1 ? [`Orphans were searched on ${fleet.host.id} only.`] : [],
      },
    };
  },
);

export const hostsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/hosts",
    tier: "observer",
    summary: "Hosts that run agents",
    description: `${About} a host is silent is in \`state\``,
    reply: z.object({ hosts: z.array(HostView) }),
    etagOf: ({ hosts }) => hosts.map((host) => stableHost(host)),
  },
  async (fleet: Fleet, { operator }) => {
    const { hosts } = await listAgents(fleet, operator, { limit: 1 });
    const now = fleet.clock();
    return { body: { hosts: hosts.map((host) => viewHost(host, now)) } };
  },
);

/** Observations of an earlier attempt say nothing about this one. */
export function toObservation(seen: StoredAgentFacts | undefined, attempt: number): AgentObservation {
  if (!seen || seen.attempt !== attempt) return {};
  return {
    paneAlive: seen.pane === "unknown" ? null : seen.pane === "alive",
    pid: seen.process === "alive" ? seen.pid : null,
    beatAt: seen.heartbeatAt,
    progressAt: seen.progressAt,
    observedAt: seen.observedAt,
  };
}

function viewHost(host: AgentList["hosts"][number], now: Date): HostView {
  return {
    id: host.id,
    name: host.id,
    state: host.alive ? "up" : host.draining ? "draining" : "lost",
    slots: host.slots,
    free: Math.max(0, host.slots - host.held),
    load: host.load,
    diskFreeBytes: host.diskFreeMb * 1_048_576,
    version: host.versions["fleetwright"] ?? null,
    seenAgoMs: Math.max(0, now.getTime() - host.reportedAt.getTime()),
  };
}
