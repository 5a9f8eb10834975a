/** Rate limits over a real server: a client over its limit gets Retry-After, and others are not affected. */
import { expect, test } from "vitest";
import { z } from "zod";
import { openRateLimits } from "../../../src/http/server/limits.ts";
import { defineRoute } from "../../../src/http/route.ts";
import { mountBoard } from "../../../src/http/board/board.ts";
import { mountLogin } from "../../../src/http/auth/session.ts";
import { testApi, testToken } from "../../support/api.ts";

const ROUTE = defineRoute(
  { method: "get", path: "/api/fleet/me", tier: "observer", summary: "Who asks", reply: z.object({}) },
  async (_context: unknown) => ({ body: {} }),
);

async function asks(limits: { perAddress: number; perOperator: number }) {
  const api = await testApi([ROUTE], () => ({ limits: openRateLimits(limits) }));
  const ask = async (token: string) => {
    const response = await fetch(new URL("/api/fleet/me", api.url), { headers: { authorization: `Bearer ${token}` } });
    return {
      status: response.status,
      retryAfter: Number(response.headers.get("retry-after")),
      body: await response.json(),
    };
  };
  return { api, ask, [Symbol.asyncDispose]: api.close };
}

test("an operator over the limit gets Retry-After; another one, and one of the same name in another tenant, is served", async () => {
  await using world = await asks({ perAddress: 100, perOperator: 2 });
  const { api, ask } = world;
  const ada = await api.token();

  const statuses = [await ask(ada), await ask(ada)].map(({ status }) => status);
  const refused = await ask(ada);

  expect(statuses).toEqual([200, 200]);
  expect(refused).toMatchObject({
    status: 429,
    body: { type: "/problems/rate-limited", facts: { limit: 2, per: "operator" } },
  });
  expect(refused.retryAfter).toBeGreaterThan(0);
  expect(refused.retryAfter).toBeLessThanOrEqual(60);
  expect(await ask(await api.token({ id: "bob" }))).toMatchObject({ status: 200 });
  expect(await ask(await api.token({ tenantId: "other" }))).toMatchObject({ status: 200 });
});

test("an address that guesses tokens is limited, too", async () => {
  await using world = await asks({ perAddress: 3, perOperator: 100 });
  const { api, ask } = world;

  const statuses = [];
  for (let at = 0; at < 4; at += 1) statuses.push((await ask(`guess${at}`)).status);

  expect(statuses).toEqual([401, 401, 401, 429]);
  expect(await ask(await api.token())).toMatchObject({ status: 429, body: { facts: { per: "address" } } });
  expect((await fetch(new URL("/healthz", api.url))).status).toBe(200);
});

test("all addresses of one IPv6 network count as one", async () => {
  const limits = openRateLimits({ perAddress: 1, perOperator: 1 });
  await limits.address("2001:db8:1:2::1");

  await expect(limits.address("2001:db8:1:2:aaaa:bbbb:cccc:dddd")).rejects.toMatchObject({ code: "rate-limited" });
  await limits.address("2001:db8:1:3::1");
  await limits.address("::1");
  await limits.address("::ffff:10.0.0.1");
  await limits.address("::ffff:10.0.0.2");
});

test("requests outside the API count as well: login, board, documents and unknown paths; health does not", async () => {
  const doors = ["/login", "/queues", "/api/docs", "/api/openapi.json", "/nowhere"];
  await using api = await testApi([ROUTE], ({ identify, key }) => ({
    limits: openRateLimits({ perAddress: doors.length, perOperator: 100 }),
    mounts: [
      (app) =>
        mountLogin(app, {
          identify,
          issue: (operator, kind) => testToken(key, operator, kind),
          spend: () => Promise.resolve(true),
          end: () => Promise.resolve(),
          publicUrl: "http://127.0.0.1",
        }),
      (app) =>
        mountBoard(app, {
          identify,
          queues: () => [],
          publicUrl: "http://127.0.0.1",
          findTask: () => Promise.reject(new Error()),
        }),
    ],
  }));
  const statusOf = async (path: string) => (await fetch(new URL(path, api.url), { redirect: "manual" })).status;

  const before = await Promise.all(doors.map((door) => statusOf(door)));
  const after = await Promise.all(doors.map((door) => statusOf(door)));

  expect(before).not.toContain(429);
  expect(new Set(after)).toEqual(new Set([429]));
  expect([await statusOf("/healthz"), await statusOf("/.well-known/jwks.json")]).toEqual([200, 200]);
});

async function whoAsksFrom(addresses: readonly string[], trustProxy: readonly string[]): Promise<number[]> {
  await using api = await testApi([ROUTE], () => ({
    limits: openRateLimits({ perAddress: 1, perOperator: 100 }),
    trustProxy,
  }));
  const authorization = `Bearer ${await api.token()}`;
  const statuses = [];
  for (const address of addresses) {
    const headers = { "x-forwarded-for": address, authorization };
    statuses.push((await fetch(new URL("/api/fleet/me", api.url), { headers })).status);
  }
  return statuses;
}

test("behind a trusted proxy each client has its own limit; forged forwarding headers are ignored", async () => {
  // The last address connected to the proxy from the first one, whichever client it claims to forward.
  const addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.9, 192.0.2.1"];

  expect(await whoAsksFrom(addresses, ["127.0.0.1"])).toEqual([200, 200, 429]);
  expect(await whoAsksFrom(addresses, ["10.0.0.0/8"])).toEqual([200, 429, 429]);
  expect(await whoAsksFrom(addresses, [])).toEqual([200, 429, 429]);
});
