/**
 * Every route of the API, called by one tenant for everything that belongs to another: no response contains a byte of
 * it, and no row of it changes.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NO_KEYS } from "../../support/api.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { webRoutes } from "../../../src/http/routes/index.ts";
import { startWeb, type RunningWeb } from "../../../src/processes/web.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { insertMarkedRows, idFor, tenantTables } from "../../support/marked-rows.ts";

const CANARY = `canary${randomUUID().slice(0, 8)}`;
/** The routes come from the list that the server mounts, so a new route is covered automatically. */
const ROUTES = webRoutes(() => Promise.resolve(""), NO_KEYS).map(({ method, path, kind }) => ({ method, path, kind }));

let fleet: TestFleet;
let web: RunningWeb;
let ada: Operator;
let eve: Operator;
beforeAll(async () => {
  fleet = await testFleet();
  web = await startWeb(fleet.open, fleet.config, { relays: false });
  ada = await fleet.operator({ id: `${CANARY}-ada`, tenantId: `${CANARY}-acme` });
  eve = await fleet.operator();
  await fleet.spawn(eve, { repository: await fleet.aRepository(), title: "Of eve" });
  await insertMarkedRows(fleet.query, ada, CANARY);
});
afterAll(async () => {
  await web.close();
  await fleet[Symbol.asyncDispose]();
});

/** Path parameters: ada's own names, as eve might have learned them. */
function namesOf(owner: Operator): Readonly<Record<string, string>> {
  return {
    task: idFor(owner, "id"),
    order: idFor(owner, "id"),
    run: idFor(owner, "id"),
    plan: `${CANARY}-plan_id`,
    product: `${CANARY}-product_id`,
    finding: idFor(owner, "id"),
    name: `${CANARY}-name`,
  };
}

/** Bodies that name ada's resources, for routes whose body names one. */
const BODIES: Readonly<Record<string, readonly unknown[]>> = {
  "/api/fleet/estop": [
    { scope: "agent", subject: "TASK", mode: "abort", reason: "x" },
    { scope: "product", subject: `${CANARY}-product_id`, mode: "park", reason: "x" },
    { scope: "tenant", subject: `${CANARY}-acme`, mode: "freeze", reason: "x" },
    { scope: "fleet", subject: "", mode: "park", reason: "x" },
  ],
  "/api/fleet/estop/release": [
    { scope: "tenant", subject: `${CANARY}-acme`, reason: "x" },
    { scope: "agent", subject: "TASK", reason: "x" },
  ],
  "/api/fleet/orders": [{ product_id: `${CANARY}-product_id`, intent: "test" }],
  "/api/fleet/orders/run": [{ orders: ["ORDER"] }],
  "/api/fleet/spawn": [{ repository: `${CANARY}-repository`, description: "x", agentType: "stub" }],
};

type Route = (typeof ROUTES)[number];

interface Asking {
  readonly at: string;
  readonly body?: string;
}

interface Answered {
  readonly asked: string;
  readonly status: number;
  readonly text: string;
}

/** A stream sends what exists at once, and then waits; gc waits for a host, and none is running here. */
const WAITS = new Set(["/api/fleet/gc", ...ROUTES.filter(({ kind }) => kind === "sse").map(({ path }) => path)]);

async function ask(by: Operator, { method, path }: Pick<Route, "method" | "path">, asking: Asking): Promise<Answered> {
  const token = await web.issueFor(by, 60_000);
  const { at, body } = asking;
  const request = `${method} ${at} ${body ?? ""}`;
  let [status, text] = [0, ""];
  try {
    const response = await fetch(new URL(at, web.url), {
      method: method.toUpperCase(),
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      signal: AbortSignal.timeout(WAITS.has(path) ? 300 : 10_000),
      ...(body === undefined ? {} : { body }),
    });
    status = response.status;
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
  } catch (error) {
    if (!WAITS.has(path)) throw error;
  }
  return { asked: request, status, text };
}

/** Each way to call a route: with each of its bodies, and with `all` where a list supports it. */
function askingsOf({ method, path }: Route): readonly Asking[] {
  const names = namesOf(ada);
  const at = path.replaceAll(/:(?<name>\w+)/g, (_, name: string) => names[name] ?? `${CANARY}-${name}`);
  if (method === "get") return [{ at }, { at: `${at}?all=true` }, { at: `${at}?cursor=0` }];
  const fill = (body: unknown) =>
    JSON.stringify(body)
      .replace("TASK", names["task"] ?? "")
      .replace("ORDER", names["order"] ?? "");
  const bodies = [{}, ...(BODIES[path] ?? [])].map((body) => ({ at, body: fill(body) }));
  return [{ at }, ...bodies];
}

async function printOf(owner: Operator): Promise<unknown> {
  const tables = await tenantTables(fleet.query);
  const one = (table: string) =>
    `select '${table}' as name, count(*)::int as rows, md5(string_agg(t::text, '|' order by t::text)) as print
       from ${table} t where tenant_id = '${owner.tenantId}'`;
  return fleet.query(tables.map((table) => one(table)).join(" union all "));
}

/** A response may echo its request; only more than that is a leak. */
function foreignIn({ asked, text }: Answered): string[] {
  const own = decodeURIComponent(asked);
  const found = [...text.matchAll(new RegExp(`${CANARY}[\\w-]*`, "g"))].map(([word]) => word);
  return found.filter((word) => !own.includes(word));
}

test("the canary is found where it may be: ada's own tenant sees it", async () => {
  const { status, text } = await ask(ada, { method: "get", path: "/api/fleet/estop" }, { at: "/api/fleet/estop" });
  expect([status, text.includes(CANARY)]).toEqual([200, true]);
});

test("no response to another tenant contains anything of ada's, whatever is requested, and nothing of ada's changes", async () => {
  const before = await printOf(ada);
  const statuses = new Map<string, number[]>();
  const leaks: string[] = [];
  for (const route of ROUTES) {
    const key = `${route.method} ${route.path}`;
    for (const asking of askingsOf(route)) {
      const answered = await ask(eve, route, asking);
      const { asked, status, text } = answered;
      statuses.set(key, [...(statuses.get(key) ?? []), status]);
      for (const word of foreignIn(answered)) leaks.push(`${asked} → ${status} tells ${word}`);
      if (status >= 500) leaks.push(`${asked} → ${status}: ${text}`);
      if (route.path.includes(":") && status >= 200 && status < 300) leaks.push(`${asked} → ${status}: ${text}`);
    }
  }
  expect(leaks).toEqual([]);
  // Every route was reached, and lists gave results; some are for role admin alone.
  expect(statuses.size).toBe(ROUTES.length);
  const lists = [...statuses].filter(([route]) => route.startsWith("get ") && !route.includes(":"));
  expect(lists.filter(([, said]) => !said.includes(200) && !said.includes(403))).toEqual([]);
  expect(lists.filter(([, said]) => said.includes(200)).length).toBeGreaterThan(15);
  expect(await printOf(ada)).toEqual(before);
});
