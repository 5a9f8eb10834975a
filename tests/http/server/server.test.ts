/** The server frame: what every route gets automatically, tested with routes defined here over a real server. */
import { request as rawRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { FleetError } from "../../../src/domain/errors.ts";
import { defineRoute } from "../../../src/http/route.ts";
import { eventually } from "../../support/eventually.ts";
import { testApi, type TestApi } from "../../support/api.ts";

const Thing = z.strictObject({ name: z.string(), size: z.int().optional(), tree: z.unknown().optional() });

let ticks = 0;

const ROUTES = [
  defineRoute(
    {
      method: "get",
      path: "/api/fleet/me",
      tier: "observer",
      summary: "Who asks",
      reply: z.object({ id: z.string(), tier: z.string() }),
    },
    async (_context: unknown, { operator }) => ({ body: { ...operator, secret: "stays inside" } }),
  ),
  defineRoute(
    { method: "post", path: "/api/fleet/things", tier: "builder", summary: "Make a thing", body: Thing, reply: Thing },
    async (_context: unknown, { body }) => ({ status: 201, body }),
  ),
  defineRoute(
    {
      method: "get",
      path: "/api/fleet/things/:id",
      tier: "architect",
      summary: "A thing",
      params: z.object({ id: z.uuid() }),
      reply: Thing,
    },
    async () => ({ body: { name: "x" } }),
  ),
  defineRoute(
    {
      method: "get",
      path: "/api/fleet/clock",
      tier: "observer",
      summary: "What time it is",
      reply: z.object({ at: z.int(), hands: z.int() }),
      etagOf: ({ hands }) => hands,
    },
    async () => ({ body: { at: (ticks += 1), hands: 2 } }),
  ),
  defineRoute(
    { method: "get", path: "/api/fleet/bug", tier: "observer", summary: "Breaks", reply: z.object({}) },
    async () => {
      throw new Error("the password is hunter2");
    },
  ),
  defineRoute(
    { method: "get", path: "/api/fleet/away", tier: "observer", summary: "Away", reply: z.object({}) },
    async () => {
      throw new FleetError("database-unavailable", "PostgreSQL does not answer.", { retryAfterSeconds: 7 });
    },
  ),
];

let api: TestApi;
let token: string;
beforeAll(async () => {
  api = await testApi(ROUTES, () => ({
    mounts: [(app) => app.get("/echo", (request, response) => void response.json(request.headers))],
    health: { database: async () => "ok", queues: () => Promise.reject(new Error("down at 10.0.0.3")) },
  }));
  token = await api.token();
});
afterAll(() => api.close());

async function ask(path: string, init: Omit<RequestInit, "headers"> & { headers?: Record<string, string> } = {}) {
  const response = await fetch(new URL(path, api.url), {
    ...init,
    headers: { authorization: `Bearer ${token}`, ...init.headers },
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
}

function post(body: string | Uint8Array<ArrayBuffer>, contentType = "application/json") {
  return ask("/api/fleet/things", { method: "POST", body, headers: { "content-type": contentType } });
}

test("a response contains what its schema names and nothing else", async () => {
  const { status, body, headers } = await ask("/api/fleet/me");

  expect({ status, body }).toEqual({ status: 200, body: { id: "ada", tier: "builder" } });
  expect(headers.get("x-powered-by")).toBeNull();
  expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
});

test("headers that claim an identity are removed before any code can read them", async () => {
  const lies = {
    "x-conviction-tier": "sovereign",
    "x-wallet-address": "0x1",
    "x-fleet-operator-id": "root",
    "x-fleet-conviction-tier": "sovereign",
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-host": "evil.example",
    forwarded: "for=10.0.0.1",
  };
  expect((await ask("/api/fleet/me", { headers: lies })).body).toEqual({ id: "ada", tier: "builder" });
  const { body } = await ask("/echo", { headers: { ...lies, "x-kept": "yes" } });
  expect(body).toMatchObject({ "x-kept": "yes" });
  expect(Object.keys(body).filter((name) => name in lies)).toEqual([]);
});

test("an unchanged response costs a 304", async () => {
  const first = await ask("/api/fleet/me");
  const tag = first.headers.get("etag")!;
  const asking = { headers: { "if-none-match": tag, authorization: `Bearer ${token}` } };
  const response = await fetch(new URL("/api/fleet/me", api.url), asking);

  expect([response.status, await response.text(), response.headers.get("etag")]).toEqual([304, "", tag]);
  // No shared cache may store it, and it must be revalidated before use.
  for (const { headers } of [first, response]) {
    expect([headers.get("cache-control"), headers.get("vary")]).toEqual(["private, no-cache", "authorization"]);
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  }
  const stranger = { headers: { "if-none-match": tag, authorization: `Bearer ${await api.token({ id: "bob" })}` } };
  expect((await fetch(new URL("/api/fleet/me", api.url), stranger)).status).toBe(200);
  expect((await fetch(new URL("/api/fleet/me", api.url), { headers: { "if-none-match": tag } })).status).toBe(401);
});

test("a request that changes something has no ETag, and is executed each time even with a matching one", async () => {
  const made = await post('{"name":"x"}');
  const again = await ask("/api/fleet/things", {
    method: "POST",
    body: '{"name":"x"}',
    headers: { "content-type": "application/json", "if-none-match": "*" },
  });

  expect([made.headers.get("etag"), again.status]).toEqual([null, 201]);
});

test("a response of which only the times changed counts as the same response", async () => {
  const first = await ask("/api/fleet/clock");
  const again = await ask("/api/fleet/clock", { headers: { "if-none-match": first.headers.get("etag")! } });

  expect([first.body.at, again.status]).toEqual([1, 304]);
  expect((await ask("/api/fleet/clock")).body).toEqual({ at: 3, hands: 2 });
});

test("the server generates the request id and not the client; the log has it with the operator, the request and the outcome", async () => {
  const theirs = "11111111-2222-3333-4444-555555555555";
  const fetched = await ask("/api/fleet/me?colour=red", { headers: { "x-request-id": theirs } });
  const made = await post('{"name":"x"}');
  const line = (of: { headers: Headers }) =>
    eventually(async () => {
      const requestId = of.headers.get("x-request-id");
      return api.logged.find(({ facts }) => "event" in facts && "requestId" in facts && facts.requestId === requestId);
    });

  expect(fetched.headers.get("x-request-id")).not.toBe(theirs);
  expect(fetched.body.instance).toBe(`urn:uuid:${fetched.headers.get("x-request-id")}`);
  expect(await line(fetched)).toMatchObject({
    level: "debug",
    facts: { method: "GET", path: "/api/fleet/me", status: 422, operatorId: "ada", tenantId: "acme" },
  });
  expect(await line(made)).toMatchObject({ level: "info", facts: { method: "POST", status: 201 } });
  expect(JSON.stringify(api.logged)).not.toContain("colour=red");
});

test("a tier that is too low gets an error that names the required one", async () => {
  expect(await ask("/api/fleet/things/1")).toMatchObject({
    status: 403,
    body: { type: "/problems/tier-too-low", facts: { needed: "architect", tier: "builder" } },
  });
});

describe("a body is refused by name", () => {
  const deep = "[".repeat(64) + "]".repeat(64);
  test.each([
    ["not JSON", "{", "application/json", 400, "malformed-json"],
    ["empty where one is needed", "", "application/json", 422, "invalid-input"],
    ["a bare word", '"name"', "application/json", 400, "malformed-json"],
    ["a form", "name=x", "application/x-www-form-urlencoded", 415, "unsupported-media-type"],
    ["JSON by another name", "{}", "text/plain", 415, "unsupported-media-type"],
    ["another encoding", "{}", "application/json; charset=utf-16", 415, "unsupported-media-type"],
    ["too large", JSON.stringify({ name: "x".repeat(1_100_000) }), "application/json", 413, "body-too-large"],
    ["too deep", `{"name":"x","tree":${deep}}`, "application/json", 422, "invalid-input"],
    ["naming a prototype", '{"name":"x","__proto__":{"admin":true}}', "application/json", 422, "invalid-input"],
    ["with an unknown field", '{"name":"x","colour":"red"}', "application/json", 422, "invalid-input"],
    ["with a wrong type", '{"name":7}', "application/json", 422, "invalid-input"],
  ])("%s", async (...[, body, type, status, code]) => {
    expect(await post(body, type)).toMatchObject({ status, body: { type: `/problems/${code}`, status } });
  });

  test("not UTF-8", async () => {
    expect(await post(Buffer.from('{"name":"\xff"}', "latin1"))).toMatchObject({ status: 400 });
  });

  test("compressed", async () => {
    const answer = await ask("/api/fleet/things", {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
    });
    expect(answer.status).toBe(415);
  });
});

test("a problem names the invalid field, without repeating its value", async () => {
  const { body, headers } = await post('{"name":["my-password"]}');

  expect(headers.get("content-type")).toMatch(/^application\/problem\+json/);
  expect(body).toMatchObject({
    issues: [{ path: ["name"], code: "invalid_type" }],
    instance: expect.stringMatching(/^urn:uuid:/),
  });
  expect(JSON.stringify(body)).not.toContain("my-password");
});

test("a valid body arrives unchanged", async () => {
  const body = { name: "naïve café", size: 3 };
  expect(await post(JSON.stringify(body))).toMatchObject({ status: 201, body });
});

test("an unknown path gives 404 and an unknown method 405", async () => {
  expect(await ask("/api/fleet/nowhere")).toMatchObject({ status: 404, body: { type: "/problems/not-found" } });
  const wrong = await ask("/api/fleet/things", { method: "DELETE" });
  expect(wrong).toMatchObject({ status: 405, body: { type: "/problems/method-not-allowed" } });
  expect(wrong.headers.get("allow")).toBe("POST");
  expect((await ask("/api/fleet/things/%E0%A4%A")).status).toBe(404);
  expect((await ask("/api/fleet/me?colour=red")).status).toBe(422);
});

test("an unhandled error gives a response without its message, and is logged with it", async () => {
  const { status, body, headers } = await ask("/api/fleet/bug");

  expect({ status, title: body.title, detail: body.detail }).toEqual({
    status: 500,
    title: "Internal error",
    detail: undefined,
  });
  expect(JSON.stringify(body)).not.toContain("hunter2");
  const bug = api.logged.find(({ message }) => message === "unhandled error");
  expect(bug).toMatchObject({ facts: { path: "/api/fleet/bug", requestId: headers.get("x-request-id") } });
});

test("when the store is down the response has Retry-After, and health still responds", async () => {
  const { status, headers } = await ask("/api/fleet/away");
  expect({ status, retryAfter: headers.get("retry-after") }).toEqual({ status: 503, retryAfter: "7" });

  expect(await ask("/healthz")).toMatchObject({ status: 200, body: { status: "ok" } });
  const ready = await ask("/readyz");
  expect(ready).toMatchObject({ status: 503, body: { checks: { database: { ok: true }, queues: { ok: false } } } });
  expect(JSON.stringify(ready.body)).not.toContain("10.0.0.3");
});

test("the published keys have no private part", async () => {
  const { body } = await ask("/.well-known/jwks.json");
  expect(body.keys).toEqual([
    {
      kty: "EC",
      crv: "P-256",
      x: expect.any(String),
      y: expect.any(String),
      kid: api.key.kid,
      alg: "ES256",
      use: "sig",
    },
  ]);
});

test("OpenAPI describes each route from its own schemas, and a page shows it", async () => {
  const { body } = await ask("/api/openapi.json");
  expect(body.openapi).toBe("3.1.0");
  expect(Object.keys(body.paths)).toContain("/api/fleet/things/{id}");
  expect(body.paths["/api/fleet/things"].post.requestBody.content["application/json"].schema).toMatchObject({
    additionalProperties: false,
    required: ["name"],
  });

  const page = await fetch(new URL("/api/docs", api.url));
  const text = await page.text();
  // As an operator would type it, with only the required fields; and nothing on the page runs or is loaded from
  // another origin.
  expect(text).toContain("-d &#39;{&quot;name&quot;:&quot;…&quot;}&#39;");
  expect(text).not.toMatch(/<script|\bon\w+=|(?:src|href)="(?:https?:)?\/\//);
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
});

test("a request that can be parsed in two ways is refused", async () => {
  const status = await new Promise<number | undefined>((resolve) => {
    const headers = { "content-length": "4", "transfer-encoding": "chunked", authorization: `Bearer ${token}` };
    const smuggled = rawRequest(new URL("/api/fleet/things", api.url), { method: "POST", headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    smuggled.on("error", () => resolve(undefined));
    smuggled.end("0\r\n\r\n");
  });
  expect([400, undefined]).toContain(status);
});
