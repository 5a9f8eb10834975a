/** Every route over a real server, with real tokens: what it answers, and to whom it does not. */
import { parseServerSentEvents } from "./server-sent-events.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Operator } from "../../src/domain/operator.ts";
import type { Task } from "../../src/domain/task.ts";
import { ROUTES, webRoutes } from "../../src/http/routes/index.ts";
import { startWeb, type RunningWeb } from "../../src/processes/web.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";

let fleet: TestFleet;
let web: RunningWeb;
let repository: string;
let ada: Operator;
/** Of ada's tenant; of another one; who may see everything; who may only look. */
let bob: Operator;
let eve: Operator;
let root: Operator;
let otto: Operator;
let ready: Task;
let running: Task;

beforeAll(async () => {
  fleet = await testFleet();
  web = await startWeb(fleet.open, fleet.config, { relays: false });
  ada = await fleet.operator();
  const { tenantId } = ada;
  bob = await fleet.operator({ tenantId });
  eve = await fleet.operator();
  root = await fleet.operator({ role: "admin" });
  otto = await fleet.operator({ tenantId, tier: "observer" });
  repository = await fleet.aRepository();
  const [first, second] = [
    await fleet.spawn(ada, { repository }),
    await fleet.spawn(ada, { repository, script: "hang" }),
  ];
  ready = await fleet.runUntil(first.id, "ready");
  running = await fleet.runUntil(second.id, "running");
});

afterAll(async () => {
  await web.close();
  await fleet[Symbol.asyncDispose]();
});

interface Asking {
  readonly method?: string;
  readonly by?: Operator | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

async function ask(path: string, { method = "GET", by = ada, body, headers = {}, signal }: Asking = {}) {
  const token = await web.issueFor(by, 60_000);
  return fetch(new URL(`/api/fleet${path}`, web.url), {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  });
}

/** Status and, of a refusal, its name; both belong together. */
async function outcome(path: string, asking: Asking = {}) {
  const response = await ask(path, asking);
  const body = (await response.json()) as { type?: string };
  return [response.status, response.status >= 400 ? String(body.type).split(/[:/#]/).at(-1) : body] as const;
}

const path = (of: (typeof ROUTES)[number], task: string) => of.path.replace("/api/fleet", "").replace(":task", task);
const named = ROUTES.map((route) => ({ name: `${route.method.toUpperCase()} ${route.path}`, route }));
const aboutTask = named.filter(({ route }) => route.path.includes(":task"));

describe("whoever asks", () => {
  test.each(named)("$name needs a token, and one that is ours", async ({ route }) => {
    const url = new URL(route.path.replace(":task", running.id), web.url);
    const method = route.method.toUpperCase();

    expect((await fetch(url, { method })).status).toBe(401);
    expect((await fetch(url, { method, headers: { authorization: "Bearer e30.e30.e30" } })).status).toBe(401);
  });

  test.each(aboutTask)("to $name a task of another tenant does not exist", async ({ route }) => {
    const body = route.body ? { comment: "no" } : undefined;

    const [status, name] = await outcome(path(route, ready.id), {
      method: route.method.toUpperCase(),
      by: eve,
      ...(route.path.endsWith("/reject") ? { body } : {}),
    });

    expect([status, name]).toEqual([404, "task-not-found"]);
  });

  test.each(aboutTask.filter(({ route }) => route.owner))(
    "$name is for the owner, and an observer may not even ask",
    async ({ route }) => {
      const asking = {
        method: route.method.toUpperCase(),
        ...(route.path.endsWith("/reject") ? { body: { comment: "no" } } : {}),
      };

      expect(await outcome(path(route, ready.id), { ...asking, by: bob })).toEqual([403, "not-owner"]);
      expect(await outcome(path(route, ready.id), { ...asking, by: otto })).toEqual([403, "tier-too-low"]);
      expect((await fleet.read(ready.id)).version).toBe(ready.version);
    },
  );

  test.each(named.filter(({ route }) => route.kind === "json" && route.method === "get"))(
    "$name answers an observer of the tenant with what its schema says",
    async ({ route }) => {
      const [status, body] = await outcome(path(route, ready.id), { by: otto });

      expect(status).toBe(200);
      expect(route.reply.safeParse(body).error).toBeUndefined();
    },
  );

  test.each(named)("$name refuses a parameter that it does not know", async ({ route }) => {
    const [status, name] = await outcome(`${path(route, ready.id)}?surprise=1`, { method: route.method.toUpperCase() });

    expect([status, name]).toEqual([422, "invalid-input"]);
  });
});

describe("tasks", () => {
  const request = () => ({ repository, description: "Over the wire.", agentType: "stub" });

  test("a task is made once per key: 201, then 200 with the same one; another request under it is 422", async () => {
    const headers = { "idempotency-key": "k-1" };
    const [made, first] = await outcome("/spawn", { method: "POST", body: request(), headers });
    const [again, second] = await outcome("/spawn", { method: "POST", body: request(), headers });
    const other = await outcome("/spawn", { method: "POST", body: { ...request(), description: "Other." }, headers });

    expect([made, again]).toEqual([201, 200]);
    expect(second).toMatchObject({ id: (first as unknown as Task).id });
    expect(other).toEqual([422, "idempotency-key-reused"]);
    await ask(`/tasks/${(first as unknown as Task).id}/stop`, { method: "POST" });
  });

  test("who holds all the slots of their tier is refused with the numbers", async () => {
    const builder = await fleet.operator({ tier: "builder" });
    await outcome("/spawn", { method: "POST", body: request(), by: builder });

    const response = await ask("/spawn", { method: "POST", body: request(), by: builder });

    expect(response.status).toBe(403);
    expect(response.headers.get("content-type")).toContain("application/problem+json");
    expect(await response.json()).toMatchObject({ facts: { limit: 1, held: 1, tier: "builder" } });
    await fleet.query("update slots set active = 0 where operator_id = $1", [builder.id]);
  });

  test.each([
    ["nothing", {}, 422],
    ["a field too many", { ...{ repository: "/x", description: "x" }, surprise: 1 }, 422],
    ["a repository that is not there", { repository: "/nowhere", description: "x", agentType: "stub" }, 422],
  ])("a request with %s is refused", async (_what, body, status) => {
    expect((await outcome("/spawn", { method: "POST", body }))[0]).toBe(status);
  });

  test("what is no JSON is 400, and what is another kind of body 415", async () => {
    const token = await web.issueFor(ada, 60_000);
    const send = (type: string, body: string) =>
      fetch(new URL("/api/fleet/spawn", web.url), {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": type },
        body,
      });

    expect((await send("application/json", "{")).status).toBe(400);
    expect((await send("text/plain", "hello")).status).toBe(415);
  });

  test("a task is found by its id, a beginning of it and its short name; a name that fits many is 409", async () => {
    for (const name of [ready.id, ready.id.slice(-8), ready.id.slice(0, -4)]) {
      expect(await outcome(`/tasks/${name}`)).toMatchObject([200, { id: ready.id }]);
    }
    expect(await outcome(`/tasks/${ready.id.slice(0, 4)}`)).toEqual([409, "ambiguous-name"]);
    expect(await outcome("/tasks/ffffffff")).toEqual([404, "task-not-found"]);
  });

  test("pages go through all tasks once, newest first, also while new ones come", async () => {
    const carl = await fleet.operator();
    const made = [];
    for (let at = 0; at < 5; at += 1) made.push((await fleet.spawn(carl, { repository })).id);
    const seen: string[] = [];

    let cursor: string | null = "";
    while (cursor !== null) {
      const query: string = cursor ? `?limit=2&cursor=${cursor}` : "?limit=2";
      const [, page] = (await outcome(`/tasks${query}`, { by: carl })) as unknown as [
        number,
        { items: Task[]; nextCursor: string | null },
      ];
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
      if (seen.length === 2) await fleet.spawn(carl, { repository });
    }

    expect(seen).toEqual(made.toReversed());
    expect((await outcome("/tasks?cursor=nonsense"))[0]).toBe(422);
    await fleet.query("delete from outbox where operator_id = $1 and topic = 'spawn'", [carl.id]);
  });

  test("an act that the state does not allow is 409 and says what is allowed", async () => {
    const response = await ask(`/tasks/${running.id}/merge`, { method: "POST" });

    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({
      facts: { from: "running", to: "merged", allowed: ["pr_created", "failed", "cancelled"] },
    });
    expect(await outcome(`/tasks/${running.id}`, { method: "DELETE" })).toEqual([409, "invalid-transition"]);
    expect(await outcome(`/tasks/${ready.id}/reject`, { method: "POST", body: {} })).toEqual([422, "invalid-input"]);
  });

  test("an admin may see and act everywhere; tenants and owners see the same task in the same words", async () => {
    const [, own] = await outcome(`/tasks/${ready.id}`);
    const [, seen] = await outcome(`/tasks/${ready.id}`, { by: root });
    const [, all] = await outcome("/tasks?all=true", { by: root });
    const [, foreign] = await outcome("/tasks?all=true", { by: eve });

    expect(seen).toEqual(own);
    expect((all as unknown as { items: Task[] }).items.map(({ id }) => id)).toContain(ready.id);
    expect((foreign as unknown as { items: Task[] }).items).toEqual([]);
  });
});

test("a reader of the event stream goes on from the last id it saw, and hears of no other tenant", async () => {
  const read = async (headers: Readonly<Record<string, string>>, count: number, by = ada) => {
    const gone = new AbortController();
    const response = await ask(`/tasks/${ready.id}/events`, { headers, signal: gone.signal, by });
    const events = await parseServerSentEvents(response, count);
    gone.abort();
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
  expect(await outcome("/events/recent", { by: eve })).toMatchObject([200, { items: [] }]);
});

test("everybody may know whether the house stands; what is broken is named to admins alone", async () => {
  await fleet.query("update slots set active = active + 5 where operator_id = $1", [ada.id]);
  const drifted = (body: unknown) =>
    (body as { invariants: { id: string; violations: string[] }[] }).invariants.find(({ id }) => id === "R6")
      ?.violations;

  const [, seen] = await outcome("/invariants", { by: eve });
  const [, named2] = await outcome("/invariants", { by: root });
  await fleet.query("update slots set active = active - 5 where operator_id = $1", [ada.id]);

  expect(drifted(seen)).toEqual([expect.stringMatching(/^\d+; role admin sees which$/)]);
  expect(JSON.stringify(drifted(named2))).toContain(ada.id);
});

test("the OpenAPI document describes exactly the routes there are", async () => {
  const document = (await (await fetch(new URL("/api/openapi.json", web.url))).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const described = Object.entries(document.paths).flatMap(([at, operations]) =>
    Object.keys(operations).map((method) => `${method} ${at.replaceAll(/\{(\w+)\}/g, ":$1")}`),
  );
  const routes = webRoutes(() => Promise.resolve("")).map(({ method, path: at }) => `${method} ${at}`);

  expect(described.toSorted()).toEqual(routes.toSorted());
});

test("the queue board opens by the link that the API makes, for an admin, and shows the fleet's own queues", async () => {
  const link = new URL(
    ((await (await ask("/login-links", { method: "POST", by: root })).json()) as { url: string }).url,
  );
  expect(link.origin).toBe(web.url);
  const code = link.searchParams.get("code") ?? "";
  const stranger = await fetch(new URL("/queues", web.url), { redirect: "manual", headers: { accept: "text/html" } });
  const entered = await fetch(new URL("/login", web.url), {
    method: "POST",
    redirect: "manual",
    headers: { origin: web.url },
    body: new URLSearchParams({ code, next: "/queues" }),
  });
  const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
  const board = await fetch(new URL("/queues/api/queues", web.url), { headers: { cookie } });

  expect(stranger.status).toBe(303);
  expect(entered.status).toBe(303);
  expect(board.status).toBe(200);
  expect(await board.text()).toContain("host.here");
});

test("it says that it is ready, and what it stands on", async () => {
  const live = await fetch(new URL("/healthz", web.url));
  const whole = await fetch(new URL("/readyz", web.url));

  expect([live.status, whole.status]).toEqual([200, 200]);
  expect(await whole.text()).toContain("redis");
});
