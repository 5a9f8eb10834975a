/** Tasks over the API: created once per key, refused by name, found, and paged. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { aWebWorld, TaskId, TaskIds, type WebWorld } from "../web-world.ts";

let world: WebWorld;

beforeAll(async () => {
  world = await aWebWorld();
});

afterAll(async () => {
  await world.close();
});

const request = () => ({ repository: world.repository, description: "Over the wire.", agentType: "stub" });

test("a task is created once per key: 201, then 200 with the same one; another request with that key is 422", async () => {
  const headers = { "idempotency-key": "k-1" };
  const [made, first] = await world.outcome("/spawn", { method: "POST", body: request(), headers });
  const [again, second] = await world.outcome("/spawn", { method: "POST", body: request(), headers });
  const other = await world.outcome("/spawn", {
    method: "POST",
    body: { ...request(), description: "Other." },
    headers,
  });

  expect([made, again]).toEqual([201, 200]);
  expect(second).toMatchObject({ id: TaskId.parse(first).id });
  expect(other).toEqual([422, "idempotency-key-reused"]);
  await world.ask(`/tasks/${TaskId.parse(first).id}/stop`, { method: "POST" });
});

test("an operator who uses all the slots of their tier is refused with the numbers", async () => {
  const builder = await world.fleet.operator({ tier: "builder" });
  await world.outcome("/spawn", { method: "POST", body: request(), by: builder });

  const response = await world.ask("/spawn", { method: "POST", body: request(), by: builder });

  expect(response.status).toBe(403);
  expect(response.headers.get("content-type")).toContain("application/problem+json");
  expect(await response.json()).toMatchObject({ facts: { limit: 1, held: 1, tier: "builder" } });
  await world.fleet.query("update slots set active = 0 where operator_id = $1", [builder.id]);
});

test.each([
  ["nothing", {}, 422],
  ["a field too many", { repository: "/x", description: "x", surprise: 1 }, 422],
  ["a repository that is not there", { repository: "/nowhere", description: "x", agentType: "stub" }, 422],
])("a request with %s is refused", async (_what, body, status) => {
  expect((await world.outcome("/spawn", { method: "POST", body }))[0]).toBe(status);
});

test("a request with an unknown agent type is refused, and the error names the field", async () => {
  const response = await world.ask("/spawn", { method: "POST", body: { ...request(), agentType: "gpt" } });

  expect(response.status).toBe(422);
  expect(await response.json()).toMatchObject({ detail: expect.stringContaining("agentType") });
});

test("a body that is not JSON is 400, and another content type 415", async () => {
  const token = await world.web.issueFor(world.ada, 60_000);
  const send = (type: string, body: string) =>
    fetch(new URL("/api/fleet/spawn", world.web.url), {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": type },
      body,
    });

  expect((await send("application/json", "{")).status).toBe(400);
  expect((await send("text/plain", "hello")).status).toBe(415);
});

test("a task is found by its id, a prefix of it and its short name; an ambiguous name is 409", async () => {
  for (const name of [world.ready.id, world.ready.id.slice(-8), world.ready.id.slice(0, -4)]) {
    expect(await world.outcome(`/tasks/${name}`)).toMatchObject([200, { id: world.ready.id }]);
  }
  expect(await world.outcome(`/tasks/${world.ready.id.slice(0, 4)}`)).toEqual([409, "ambiguous-name"]);
  expect(await world.outcome("/tasks/ffffffff")).toEqual([404, "task-not-found"]);
});

test("paging returns every task once, newest first, also while new ones are created", async () => {
  const carl = await world.fleet.operator();
  const made = [];
  for (let at = 0; at < 5; at += 1) made.push((await world.fleet.spawn(carl, { repository: world.repository })).id);
  const seen: string[] = [];

  let cursor: string | null = "";
  while (cursor !== null) {
    const query: string = cursor ? `?limit=2&cursor=${cursor}` : "?limit=2";
    const page = TaskIds.parse((await world.outcome(`/tasks${query}`, { by: carl }))[1]);
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor;
    if (seen.length === 2) await world.fleet.spawn(carl, { repository: world.repository });
  }

  expect(seen).toEqual(made.toReversed());
  expect((await world.outcome("/tasks?cursor=nonsense"))[0]).toBe(422);
  await world.fleet.query("delete from outbox where operator_id = $1 and topic = 'spawn'", [carl.id]);
});

test("an action that the status does not allow is 409 and lists what is allowed", async () => {
  const response = await world.ask(`/tasks/${world.running.id}/merge`, { method: "POST" });

  expect(response.status).toBe(409);
  expect(await response.json()).toMatchObject({
    facts: { from: "running", to: "merged", allowed: ["pr_created", "failed", "cancelled"] },
  });
  expect(await world.outcome(`/tasks/${world.running.id}`, { method: "DELETE" })).toEqual([409, "invalid-transition"]);
  expect(await world.outcome(`/tasks/${world.ready.id}/reject`, { method: "POST", body: {} })).toEqual([
    422,
    "invalid-input",
  ]);
});

test("an admin may see and act everywhere; admins and owners see a task in the same form", async () => {
  const [, own] = await world.outcome(`/tasks/${world.ready.id}`);
  const [, seen] = await world.outcome(`/tasks/${world.ready.id}`, { by: world.root });
  const [, all] = await world.outcome("/tasks?all=true", { by: world.root });
  const [, foreign] = await world.outcome("/tasks?all=true", { by: world.eve });

  expect(seen).toEqual(own);
  expect(TaskIds.parse(all).items.map(({ id }) => id)).toContain(world.ready.id);
  expect(TaskIds.parse(foreign).items).toEqual([]);
});
