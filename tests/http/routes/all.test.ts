/** Every route over a real server, with real tokens: what it responds, and whom it refuses. */
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createSigningKey } from "../../../src/http/auth/tokens.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { ROUTES } from "../../../src/http/routes/index.ts";
import { testToken } from "../../support/api.ts";
import { eventually } from "../../support/eventually.ts";
import {
  buildRequest,
  findExample,
  OPERATIONS,
  buildPath,
  contentTypeOf,
  schemaErrors,
  type Operation,
} from "../contract/document.ts";
import { parseServerSentEvents } from "../server/server-sent-events.ts";
import { aWebWorld, type AskOptions, type WebWorld } from "../web-world.ts";

let world: WebWorld;

beforeAll(async () => {
  world = await aWebWorld();
});

afterAll(async () => {
  await world.close();
});

const pathOfRoute = (of: (typeof ROUTES)[number], task: string) =>
  of.path.replace("/api/fleet", "").replaceAll(/:(?<name>\w+)/g, (_, name: string) => nameOf(name, task));

function nameOf(name: string, task: string): string {
  const known: Readonly<Record<string, string>> = { ...world.names, task };
  return known[name] ?? `there is no ${name} in the world of this test`;
}
const named = ROUTES.map((route) => ({ name: `${route.method.toUpperCase()} ${route.path}`, route }));
/** Orders, runs and plans. */
const aboutOther = named.filter(({ route }) => /:(?:order|run|plan)\b/.test(route.path));
const aboutTask = named.filter(({ route }) => route.path.includes(":task"));

describe("every operator", () => {
  test.each(named)("$name needs a valid token", async ({ route }) => {
    const url = new URL(route.path.replace(":task", world.running.id), world.web.url);
    const method = route.method.toUpperCase();

    expect((await fetch(url, { method })).status).toBe(401);
    expect((await fetch(url, { method, headers: { authorization: "Bearer e30.e30.e30" } })).status).toBe(401);
  });

  test.each(aboutTask)("to $name a task of another tenant does not exist", async ({ route }) => {
    const body = route.body ? { comment: "no" } : undefined;

    const [status, name] = await world.outcome(pathOfRoute(route, world.ready.id), {
      method: route.method.toUpperCase(),
      by: world.eve,
      ...(route.path.endsWith("/reject") ? { body } : {}),
    });

    expect([status, name]).toEqual([404, "task-not-found"]);
  });

  test("every route that changes a task is for its owner", () => {
    const changing = aboutTask.filter(({ route }) => route.method !== "get");
    expect(changing.length).toBeGreaterThan(4);
    expect(changing.filter(({ route }) => !route.owner)).toEqual([]);
  });

  test.each(aboutOther)("to $name a resource of another tenant does not exist", async ({ route }) => {
    const asking = { method: route.method.toUpperCase(), by: world.eve };

    expect((await world.outcome(pathOfRoute(route, world.ready.id), asking))[0]).toBe(404);
  });

  test.each(aboutTask.filter(({ route }) => route.owner))(
    "$name is for the owner, and an observer may not call it",
    async ({ route }) => {
      const asking = {
        method: route.method.toUpperCase(),
        ...(route.path.endsWith("/reject") ? { body: { comment: "no" } } : {}),
      };

      expect(await world.outcome(pathOfRoute(route, world.ready.id), { ...asking, by: world.bob })).toEqual([
        403,
        "not-owner",
      ]);
      expect(await world.outcome(pathOfRoute(route, world.ready.id), { ...asking, by: world.otto })).toEqual([
        403,
        "tier-too-low",
      ]);
      expect((await world.fleet.read(world.ready.id)).version).toBe(world.ready.version);
    },
  );
});

test("a reader of the event stream resumes after the last id it saw, and gets no event of another tenant", async () => {
  const read = async (headers: Readonly<Record<string, string>>, count: number, by = world.ada) => {
    const disconnected = new AbortController();
    const response = await world.ask(`/tasks/${world.ready.id}/events`, { headers, signal: disconnected.signal, by });
    const events = await parseServerSentEvents(response, count);
    disconnected.abort();
    return events;
  };

  const all = await read({}, 8);
  const rest = await read({ "last-event-id": all[3]?.id ?? "" }, 4);

  expect(all.map(({ event }) => event).slice(0, 3)).toEqual([
    "fleet.task.proposed",
    "fleet.task.spawning",
    "fleet.task.running",
  ]);
  expect(rest).toEqual(all.slice(4));
  expect(await world.outcome("/events/recent", { by: world.eve })).toMatchObject([200, { items: [] }]);
});

test("everyone may read whether the fleet is healthy; the failing parts are named to admins alone", async () => {
  await world.fleet.query("update slots set active = active + 5 where operator_id = $1", [world.ada.id]);
  const Verdicts = z.object({ invariants: z.array(z.object({ id: z.string(), violations: z.array(z.string()) })) });
  const drifted = (body: unknown) => Verdicts.parse(body).invariants.find(({ id }) => id === "R6")?.violations;

  const [, seen] = await world.outcome("/invariants", { by: world.eve });
  const [, named2] = await world.outcome("/invariants", { by: world.root });
  await world.fleet.query("update slots set active = active - 5 where operator_id = $1", [world.ada.id]);

  expect(drifted(seen)).toEqual([expect.stringMatching(/^\d+; role admin sees which$/)]);
  expect(JSON.stringify(drifted(named2))).toContain(world.ada.id);
});

test("the login link of the API opens the queue board for an admin, and the board shows the fleet's own queues", async () => {
  const link = new URL(
    z.object({ url: z.url() }).parse((await world.outcome("/login-links", { method: "POST", by: world.root }))[1]).url,
  );
  expect(link.origin).toBe(world.web.url);
  const code = link.searchParams.get("code") ?? "";
  const stranger = await fetch(new URL("/queues", world.web.url), {
    redirect: "manual",
    headers: { accept: "text/html" },
  });
  const entered = await fetch(new URL("/login", world.web.url), {
    method: "POST",
    redirect: "manual",
    headers: { origin: world.web.url },
    body: new URLSearchParams({ code, next: "/queues" }),
  });
  const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
  const board = await fetch(new URL("/queues/api/queues", world.web.url), { headers: { cookie } });

  expect(stranger.status).toBe(303);
  expect(entered.status).toBe(303);
  expect(board.status).toBe(200);
  expect(await board.text()).toContain("host.here");
});

test("the readiness route reports ready, with the state of each dependency", async () => {
  const live = await fetch(new URL("/healthz", world.web.url));
  const whole = await fetch(new URL("/readyz", world.web.url));

  expect([live.status, whole.status]).toEqual([200, 200]);
  expect(await whole.text()).toContain("redis");
});

/** Far shorter than the half minute that a hung statement may take. */
const AT_ONCE_MS = 5_000;

function request(path: string, token: string, { method = "GET", body }: AskOptions = {}): Promise<Response> {
  return fetch(new URL(path, world.web.url), {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    signal: AbortSignal.timeout(AT_ONCE_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** PostgreSQL ends all connections and refuses new ones until the returned function is called. */
async function sendAway(): Promise<() => Promise<void>> {
  const [row] = await world.fleet.query("select current_database() as name");
  const name = String(row?.["name"]);
  const server = new Client({ connectionString: world.fleet.databaseUrl.replace(/\/\w+$/, "/postgres") });
  await server.connect();
  await server.query(`alter database ${name} with allow_connections false`);
  await server.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", [name]);
  return async () => {
    await server.query(`alter database ${name} with allow_connections true`);
    await server.end();
  };
}

/** The status of an operation, its Retry-After, and what in the response is not documented. */
async function outcomeOf(operation: Operation, tokenOf: (by: Operator) => string): Promise<string> {
  const example = findExample(operation);
  const { by = world.ada, ...asking } = buildRequest(world, operation, example);
  const path = `/api/fleet${buildPath(world, operation, example)}`;
  const response = await request(path, tokenOf(by), asking);
  const wrong = schemaErrors(operation, response.status, contentTypeOf(response), await response.json());
  return [response.status, response.headers.get("retry-after"), ...wrong].join(" ");
}

test("while PostgreSQL is down its routes respond 503 at once with Retry-After; the others work, and all work when it is back", async () => {
  const [ada, root] = [await world.web.issueFor(world.ada, 60_000), await world.web.issueFor(world.root, 60_000)];
  const stranger = await testToken(await createSigningKey(), world.root);
  const statusOf = async (path: string, token = root) => (await request(path, token)).status;
  const comeBack = await sendAway();
  try {
    const tokenOf = (by: Operator) => (by.id === world.root.id ? root : ada);
    const answers = await Promise.all(OPERATIONS.map((operation) => outcomeOf(operation, tokenOf)));

    expect(new Set(answers)).toEqual(new Set(["503 2"]));
    const doors = ["/healthz", "/readyz", "/queues", "/.well-known/jwks.json", "/api/docs"];
    expect(await Promise.all(doors.map((door) => statusOf(door)))).toEqual([200, 503, 200, 200, 200]);
    // The key may be a new one: a process that cannot read the table must not claim that it does not exist.
    expect(await statusOf("/api/fleet/tasks", stranger)).toBe(503);
    expect(await statusOf("/api/fleet/tasks", "e30.e30.e30")).toBe(401);
  } finally {
    await comeBack();
  }

  await eventually(async () => (await statusOf("/readyz")) === 200 || undefined);
  expect([await statusOf("/api/fleet/tasks", ada), await statusOf("/api/fleet/tasks", stranger)]).toEqual([200, 401]);
});
