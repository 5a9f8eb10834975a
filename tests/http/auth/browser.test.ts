/** Browser access: a login link that works once, a cookie that no other site can use, a board that shows ids only. */
import { randomUUID } from "node:crypto";
import { request } from "node:http";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import type { Operator } from "../../../src/domain/operator.ts";
import { mountBoard } from "../../../src/http/board/board.ts";
import { loginLink, mountLogin, type SessionOptions } from "../../../src/http/auth/session.ts";
import { someOperator, testApi, testToken, type TestApi } from "../../support/api.ts";

const PUBLIC_URL = "http://fleet.test";
const PREFIX = `board-${randomUUID()}`;
const admin: Operator = { ...someOperator, role: "admin" };

let api: TestApi;
let login: SessionOptions;
let redis: Redis;
const spent = new Set<string>();
const queues: Queue[] = [];

beforeAll(async () => {
  redis = new Redis(inject("redisUrl"), { maxRetriesPerRequest: null });
  queues.push(new Queue("spawn", { connection: redis, prefix: PREFIX }));
  await queues[0]?.add("spawn", { taskId: "task-7", epoch: 3, prompt: "the secret prompt" });
  api = await testApi([], ({ key, identify }) => {
    login = {
      identify,
      issue: (operator, kind) => testToken(key, operator, kind),
      spend: async ({ jti }) => !spent.has(jti) && spent.add(jti).has(jti),
      end: () => Promise.resolve(),
      publicUrl: PUBLIC_URL,
    };
    return {
      mounts: [
        (app) => mountLogin(app, login),
        (app) =>
          mountBoard(app, {
            identify,
            queues: () => queues,
            publicUrl: PUBLIC_URL,
            findTask: () => Promise.reject(new Error()),
          }),
      ],
    };
  });
});
afterAll(async () => {
  await api.close();
  await Promise.all(queues.map((queue) => queue.obliterate({ force: true }).then(() => queue.close())));
  redis.disconnect();
});

interface Visit {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly form?: Record<string, string>;
}

/** Requests a page as a browser would. */
function visit(path: string, { method = "GET", headers = {}, form }: Visit = {}) {
  return fetch(new URL(path, api.url), {
    method,
    redirect: "manual",
    headers: { accept: "text/html", ...headers },
    ...(form ? { body: new URLSearchParams(form) } : {}),
  });
}

const ours = () => ({ origin: api.url });

async function logIn(operator: Operator): Promise<string> {
  const code = new URL(await loginLink(operator, login)).searchParams.get("code") ?? "";
  const answer = await visit("/login", { method: "POST", headers: ours(), form: { code, next: "/queues" } });
  return answer.headers.get("set-cookie")?.split(";")[0] ?? "";
}

test("a login link is used up by one click and gives a cookie that scripts and other sites cannot use", async () => {
  const link = new URL(await loginLink(admin, login));
  const code = link.searchParams.get("code") ?? "";
  const page = await visit(link.pathname + link.search);
  expect(page.headers.get("content-security-policy")).toContain("form-action 'self'");
  // Under `no-referrer` Chromium sends this page's form with `Origin: null`, which proves no origin.
  expect(page.headers.get("referrer-policy")).toBe("same-origin");
  expect(await page.text()).toContain('method="post"');

  const first = await visit("/login", { method: "POST", headers: ours(), form: { code, next: "//evil.example" } });
  expect(first.status).toBe(303);
  expect(first.headers.get("location")).toBe("/queues");
  expect(first.headers.get("set-cookie")).toMatch(/^fleet_session=[^;]+; .*HttpOnly; SameSite=Strict$/);

  const again = await visit("/login", { method: "POST", headers: ours(), form: { code } });
  expect(again.status).toBe(401);
});

test("a page escapes its query parameters", async () => {
  const page = await visit(`/login?code=${encodeURIComponent('"><script>alert(1)</script>')}`);
  expect(await page.text()).not.toContain("<script>");
});

test("a login that comes from another site, or to another host name, is refused", async () => {
  const code = new URL(await loginLink(admin, login)).searchParams.get("code") ?? "";
  const form = { code };
  expect((await visit("/login", { method: "POST", form })).status).toBe(403);
  expect((await visit("/login", { method: "POST", form, headers: { origin: "http://evil.example" } })).status).toBe(
    403,
  );
  expect(
    (await visit("/login", { method: "POST", form, headers: { ...ours(), "sec-fetch-site": "cross-site" } })).status,
  ).toBe(403);
});

/** fetch does not allow setting the Host header. */
function statusAt(host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(new URL("/login", api.url), { headers: { host } }, (response) => resolve(response.resume().statusCode))
      .on("error", reject)
      .end();
  });
}

test("an unknown host name gets no page, which prevents DNS rebinding", async () => {
  expect(await statusAt("fleet.test")).toBe(200);
  expect(await statusAt("localhost:8080")).toBe(200);
  expect(await statusAt("evil.example")).toBe(403);
  expect(await statusAt("127.0.0.1.evil.example")).toBe(403);
});

test("the board redirects anonymous visitors to the login and refuses operators without the role", async () => {
  const stranger = await visit("/queues");
  expect({ status: stranger.status, to: stranger.headers.get("location") }).toEqual({
    status: 303,
    to: "/login?next=/queues",
  });
  expect((await visit("/queues/api/queues", { headers: { accept: "application/json" } })).status).toBe(401);

  const cookie = await logIn(someOperator);
  expect((await visit("/queues", { headers: { cookie } })).status).toBe(403);
});

test("an access token is not accepted as a cookie, and neither are two cookies", async () => {
  const token = await api.token(admin);
  expect((await visit("/queues", { headers: { cookie: `fleet_session=${token}` } })).status).toBe(303);
  const cookie = await logIn(admin);
  expect((await visit("/queues", { headers: { cookie: `${cookie}; ${cookie}` } })).status).toBe(303);
});

test("an admin sees the board with ids and no payloads, and a new queue appears", async () => {
  const cookie = await logIn(admin);
  const page = await visit("/queues", { headers: { cookie } });
  expect(page.status).toBe(200);
  expect(page.headers.get("content-security-policy")).toContain("script-src 'self'");

  queues.push(new Queue("host.build-9", { connection: redis, prefix: PREFIX }));
  const list = await visit("/queues/api/queues?activeQueue=spawn&status=waiting&page=1", { headers: { cookie } });
  const text = await list.text();
  expect(text).toContain("host.build-9");
  expect(text).toContain("task-7");
  expect(text).not.toContain("secret prompt");
});

function pause(cookie: string, headers: Record<string, string> = {}) {
  return visit("/queues/api/queues/spawn/pause", { method: "PUT", headers: { ...ours(), cookie, ...headers } });
}

/** The CSRF token that the board's page provides to its own script. */
async function csrfFor(cookie: string): Promise<string> {
  const page = await visit("/queues", { headers: { cookie } });
  return (
    /^XSRF-TOKEN=(?<token>[\w-]{43}); Path=\/queues; SameSite=Strict$/.exec(page.headers.get("set-cookie") ?? "")
      ?.groups?.["token"] ?? "none"
  );
}

test("a queue operator can read the board but not change it; an admin can do both", async () => {
  const looker = await logIn({ ...someOperator, role: "queue-operator" });
  const theirs = { "x-xsrf-token": await csrfFor(looker) };
  expect((await pause(looker, theirs)).status).toBe(403);
  expect(await queues[0]?.isPaused()).toBe(false);
  const cookie = await logIn(admin);
  const token = { "x-xsrf-token": await csrfFor(cookie) };
  expect((await pause(cookie, { ...token, origin: "http://evil.example" })).status).toBe(403);
  expect((await pause(cookie, token)).status).toBe(200);
  expect(await queues[0]?.isPaused()).toBe(true);
});

test("a change by cookie needs the CSRF token of that session; an API token needs none", async () => {
  const [cookie, other] = [await logIn(admin), await logIn(admin)];
  const token = await csrfFor(cookie);
  await queues[0]?.resume();
  for (const wrong of ["", "wrong", "é".repeat(43), `${token}x`, await csrfFor(other)]) {
    const refused = await pause(cookie, wrong === "" ? {} : { "x-xsrf-token": encodeURIComponent(wrong) });
    expect([wrong, refused.status, await refused.text()]).toEqual([wrong, 403, expect.stringContaining("cross-site")]);
  }
  expect(await queues[0]?.isPaused()).toBe(false);

  expect((await pause(cookie, { "x-xsrf-token": token })).status).toBe(200);
  const bearer = { authorization: `Bearer ${await api.token(admin)}` };
  expect((await visit("/queues/api/queues/spawn/resume", { method: "PUT", headers: bearer })).status).toBe(200);
  // An operator who already has the role does not get it again.
  const again = await visit("/queues", { headers: { cookie: `${cookie}; XSRF-TOKEN=${token}` } });
  expect(again.headers.get("set-cookie")).toBeNull();
});

test("logging out needs the CSRF token of the page's form; an anonymous page leads to the login", async () => {
  const [cookie, other] = [await logIn(admin), await logIn(admin)];
  const formOf = async (session: string) => {
    const page = await (await visit("/logout", { headers: { cookie: session } })).text();
    return { csrf: /name="csrf" value="(?<csrf>[^"]+)"/.exec(page)?.groups?.["csrf"] ?? "" };
  };
  const out = (form: Record<string, string>) =>
    visit("/logout", { method: "POST", headers: { ...ours(), cookie }, form });

  for (const form of [{}, { csrf: "" }, await formOf(other)]) expect((await out(form)).status).toBe(403);
  const left = await out(await formOf(cookie));
  expect([left.status, left.headers.get("location")]).toEqual([303, "/login"]);
  expect((await visit("/logout")).headers.get("location")).toBe("/login");
});
