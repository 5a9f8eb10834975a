/** Rate limits over a real server: who asks too much is told when to come back, and takes nothing from others. */
import { expect, test } from "vitest";
import { z } from "zod";
import { openLimits } from "../../src/http/limits.ts";
import { defineRoute } from "../../src/http/route.ts";
import { testApi } from "../support/api.ts";

const ROUTE = defineRoute(
  { method: "get", path: "/api/fleet/me", tier: "observer", summary: "Who asks", reply: z.object({}) },
  async (_context: unknown) => ({ body: {} }),
);

async function asks(limits: { perAddress: number; perOperator: number }) {
  const api = await testApi([ROUTE], () => ({ limits: openLimits(limits) }));
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

test("an operator who asks too often is told when to come back; another one, and another tenant's of the same name, is served", async () => {
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

test("an address that guesses tokens is stopped like any other", async () => {
  await using world = await asks({ perAddress: 3, perOperator: 100 });
  const { api, ask } = world;

  const statuses = [];
  for (let at = 0; at < 4; at += 1) statuses.push((await ask(`guess${at}`)).status);

  expect(statuses).toEqual([401, 401, 401, 429]);
  expect(await ask(await api.token())).toMatchObject({ status: 429, body: { facts: { per: "address" } } });
  expect((await fetch(new URL("/healthz", api.url))).status).toBe(200);
});

test("all addresses of one network of IPv6 count as one", async () => {
  const limits = openLimits({ perAddress: 1, perOperator: 1 });
  await limits.address("2001:db8:1:2::1");

  await expect(limits.address("2001:db8:1:2:aaaa:bbbb:cccc:dddd")).rejects.toMatchObject({ code: "rate-limited" });
  await limits.address("2001:db8:1:3::1");
  await limits.address("::1");
  await limits.address("::ffff:10.0.0.1");
  await limits.address("::ffff:10.0.0.2");
});
