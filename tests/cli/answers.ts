/** A server that responds in the format of the real one, with content that a test chooses. */
import { z } from "zod";
import { FleetError, TaskNotFoundError } from "../../src/domain/errors.ts";
import { SpawnRequest } from "../../src/domain/task/spawn.ts";
import { defineRoute, defineStream, type Route } from "../../src/http/route.ts";
import { PsQuery, PsView } from "../../src/views/agent.ts";
import { EventView, LogLine, LogsQuery, LogsView, viewEvent } from "../../src/views/event.ts";
import { AuditProof, CheckpointView, InvariantsView } from "../../src/views/integrity.ts";
import { StoryView } from "../../src/views/task-details.ts";
import { Rejection, Removed, TaskView } from "../../src/views/task.ts";
import { eventually } from "../support/eventually.ts";
import { anAgentView, aPsView, aStoryView, aTaskView, NOW, TASK_ID } from "../support/views.ts";

/** The requests that the server received, and its next responses. */
export interface FakeServer {
  readonly requests: { body?: unknown; key?: string | undefined; query?: unknown }[];
  failures: Error[];
  /**
   * The statuses that the task passes through before it is ready. Each lasts until it was read, the last one only for
   * a moment.
   */
  flow: TaskView["status"][];
  /** How often the task was read. */
  taskReads: number;
}

/** Every character that could control, hide or reorder what a terminal shows. */
export const EVIL = "red \u001B[31m bidi \u202E clip \u001B]52;c;eA==\u0007 nul \u0000 c1 \u009B31m";

const Id = z.object({ id: z.string() });

const observer = { tier: "observer", summary: "-" } as const;
export function fakeRoutes(server: FakeServer): readonly Route<unknown>[] {
  return [...tasks(server), ...story(server), ...CHANGES, ...PROOFS, rejecting(server)];
}

function tasks(server: FakeServer): readonly Route<unknown>[] {
  return [
    defineRoute(
      { ...observer, method: "get", path: "/api/fleet/ps", query: PsQuery, reply: PsView },
      async (_c: unknown, { query }) => {
        server.requests.push({ query });
        if (query.host === "none") return { body: aPsView({ agents: [], hosts: [] }) };
        return { body: query.host === "well" ? aPsView({ agents: [anAgentView()] }) : aPsView() };
      },
    ),
    defineRoute(
      { ...observer, method: "post", path: "/api/fleet/spawn", body: SpawnRequest, reply: TaskView },
      async (_c: unknown, { body, idempotencyKey }) => {
        server.requests.push({ body, key: idempotencyKey });
        const failure = server.failures.shift();
        if (failure) throw failure;
        return { status: 201, body: aTaskView({ status: "proposed", title: EVIL, attempt: 0 }) };
      },
    ),
    defineRoute(
      { ...observer, method: "get", path: "/api/fleet/tasks/:id", params: Id, reply: TaskView },
      async (_c: unknown, { params }) => {
        if (params.id !== TASK_ID) throw new TaskNotFoundError(params.id);
        server.taskReads += 1;
        return { body: aTaskView({ status: server.flow.at(0) ?? "ready" }) };
      },
    ),
  ];
}

function story(server: FakeServer): readonly Route<unknown>[] {
  return [
    defineRoute(
      { ...observer, method: "get", path: "/api/fleet/tasks/:id/story", params: Id, reply: StoryView },
      async (_c: unknown, { params }) => {
        if (params.id === "nobody") throw new TaskNotFoundError("nobody");
        return { body: aStoryView({ task: aTaskView({ title: EVIL }) }) };
      },
    ),
    defineRoute(
      { ...observer, method: "get", path: "/api/fleet/tasks/:id/logs", params: Id, query: LogsQuery, reply: LogsView },
      async (_c: unknown, { query }) => ({
        body: {
          taskId: TASK_ID,
          attempt: query.attempt ?? 0,
          lines: ["one", EVIL].slice(-query.lines),
          truncated: false,
        },
      }),
    ),
    defineStream(
      { ...observer, path: "/api/fleet/tasks/:id/logs/follow", params: Id, query: LogsQuery, reply: LogLine },
      async (_c: unknown) =>
        (async function* () {
          for (const text of ["a", "b", EVIL]) yield { id: text.slice(0, 1), data: { attempt: 0, text } };
        })(),
    ),
    defineStream(
      { ...observer, path: "/api/fleet/tasks/:id/events", params: Id, reply: EventView },
      async (_c: unknown) =>
        (async function* () {
          while (server.flow.length > 0) {
            yield {
              id: String(server.flow.length),
              data: viewEvent({ id: "e", type: "fleet.task.moved", tenantId: "acme", at: NOW, data: { text: EVIL } }),
            };
            const { taskReads } = server;
            if (server.flow.length > 1) await eventually(async () => server.taskReads > taskReads || undefined);
            else await new Promise((resolve) => setTimeout(resolve, 30));
            server.flow.shift();
          }
        })(),
    ),
  ];
}

function rejecting(server: FakeServer): Route<unknown> {
  return defineRoute(
    {
      ...observer,
      method: "post",
      path: "/api/fleet/tasks/:id/reject",
      params: Id,
      body: Rejection,
      reply: TaskView,
    },
    async (_c: unknown, { body }) => {
      server.requests.push({ body });
      const failure = server.failures.shift();
      if (failure) throw failure;
      return { body: aTaskView({ status: "rejected" }) };
    },
  );
}

const CHANGES: readonly Route<unknown>[] = [
  defineRoute(
    { ...observer, method: "post", path: "/api/fleet/tasks/:id/merge", params: Id, reply: TaskView },
    async () => {
      throw new FleetError("invalid-transition", "Task a1b2c3d4 cannot go from running to merged.");
    },
  ),
  defineRoute(
    { ...observer, method: "delete", path: "/api/fleet/tasks/:id", params: Id, reply: Removed },
    async () => ({
      body: { id: TASK_ID, removed: ["workspace"], snapshot: "/s/1.bundle", restore: "git fetch /s/1.bundle" },
    }),
  ),
];

const PROOFS: readonly Route<unknown>[] = [
  defineRoute(
    {
      ...observer,
      method: "get",
      path: "/api/fleet/audit/verify",
      query: z.strictObject({ task: z.string().optional() }),
      reply: AuditProof,
    },
    async (_c: unknown, { query }) => ({
      body: {
        ok: query.task === undefined,
        chains: 1,
        entries: 9,
        broken: query.task ? [{ taskId: "t", seq: 4, why: "hash differs" }] : [],
        checkpoint: query.task ? null : { id: 7, at: NOW.toISOString(), chains: 1, broken: [] },
      },
    }),
  ),
  defineRoute(
    { ...observer, method: "post", path: "/api/fleet/audit/checkpoint", reply: CheckpointView },
    async () => ({ status: 201, body: { id: 8, at: NOW.toISOString(), chains: 1, keyId: "k1" } }),
  ),
  defineRoute({ ...observer, method: "get", path: "/api/fleet/invariants", reply: InvariantsView }, async () => ({
    body: {
      ok: false,
      at: NOW.toISOString(),
      checks: [],
      alerts: [],
      invariants: [
        {
          id: "INV-014",
          statement: "no operator holds too many slots",
          holds: false,
          violations: ["ada holds 4 of 3"],
        },
      ],
    },
  })),
];
