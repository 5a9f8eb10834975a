/** Every change is audited: each writing route leaves an audit entry with who, what and when. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { runOpenGcRequests } from "../../../src/conductor/gc/requests.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import type { TaskStatus } from "../../../src/domain/task/task.ts";
import { deriveCsrfToken } from "../../../src/http/auth/csrf.ts";
import { webRoutes } from "../../../src/http/routes/index.ts";
import { NO_KEYS } from "../../support/api.ts";
import { eventually } from "../../support/eventually.ts";
import { aWebWorld, type WebWorld } from "../web-world.ts";
import { SYSTEM } from "../../../src/store/principal.ts";

let world: WebWorld;
let amy: Operator;
let names: Readonly<Record<string, string>>;

/** How to call a route successfully, and the action that it records. */
interface Act {
  readonly act: string;
  readonly by?: "root";
  /** Path parameters, instead of those of the test world. */
  readonly names?: () => Promise<Readonly<Record<string, string>>>;
  readonly body?: () => object;
  /** The route waits for hosts, which answer through their queue. */
  readonly waits?: true;
}

const why = () => ({ reason: "a test" });
const product = () => ({ product: "shop" });

/**
 * In the order of the calls. A route that is missing here fails the first test: add it with the action that it
 * records.
 */
const ACTS: Readonly<Record<string, Act>> = {
  "POST /spawn": {
    act: "spawn.asked",
    body: () => ({ repository: world.repository, description: "x", agentType: "stub" }),
  },
  "POST /tasks/:task/stop": { act: "task.cancelled", names: aTask("running"), body: why },
  "POST /tasks/:task/retry": { act: "task.retrying", names: aTask("failed") },
  "POST /tasks/:task/reject": { act: "task.rejected", names: aTask("ready"), body: () => ({ comment: "no" }) },
  "POST /tasks/:task/merge": { act: "task.merged", by: "root", names: async () => ({ task: world.ready.id }) },
  "DELETE /tasks/:task": { act: "task.removed", names: aTask("cancelled") },
  "POST /drift/check": { act: "drift.asked", body: product },
  "POST /drift/:finding/accept": { act: "drift.accepted", body: why },
  "POST /science/refresh": { act: "science.asked", body: product },
  "POST /gc": { act: "gc.asked", body: product, waits: true },
  "POST /audit/checkpoint": { act: "audit.checkpoint", by: "root" },
  "POST /budgets": { act: "budget.set", by: "root", body: () => ({ dailyTasks: 1_000 }) },
  "POST /estop": { act: "estop.park", body: () => ({ scope: "product", subject: "shop", reason: "a test" }) },
  "POST /estop/release": { act: "estop.released", body: () => ({ scope: "product", subject: "shop" }) },
  "POST /products/:product/kill": { act: "product.killed", body: why },
  "POST /products/:product/release": { act: "product.released" },
  "POST /plan": { act: "plan.made", body: () => ({ budget: 2, product: "shop", asOf: "2030-01-01T00:00:00Z" }) },
  "POST /orders": { act: "order.added", body: () => ({ productId: "shop", intent: "gc_runs" }) },
  "POST /orders/run": { act: "orders.requested", body: () => ({ product: "shop" }) },
  "POST /orders/:order/run": { act: "orders.requested", names: anOrder },
  "POST /runs/:run/pin": { act: "run.pinned", body: () => ({}) },
  "POST /runs/:run/unpin": { act: "run.unpinned" },
  "POST /schedules/:product/pause": { act: "schedule.paused", body: why },
  "POST /schedules/:product/resume": { act: "schedule.resumed" },
  "POST /schedules/:product/run": { act: "schedule.run" },
  "POST /products/:product/pushed": { act: "schedule.pushed", body: () => ({}) },
  "PUT /config/:key": { act: "config.set", names: aSetting, body: () => ({ value: "terminal" }) },
  "DELETE /config/:key": { act: "config.unset", names: aSetting },
  "POST /config/reseal": { act: "config.resealed", by: "root" },
  "POST /notifications/test": { act: "notify.tested", body: () => ({}) },
  "POST /login-links": { act: "login.linked" },
  "POST /operators": {
    act: "operator.set",
    by: "root",
    body: () => ({ operator: "nina", tenant: amy.tenantId, tier: "builder" }),
  },
  "POST /operators/:operator/disable": { act: "operator.set", by: "root", names: anOperatorNamed },
  "POST /operators/:operator/enable": { act: "operator.set", by: "root", names: anOperatorNamed },
  "POST /tokens": {
    act: "token.issued",
    by: "root",
    body: () => ({ operator: "nina", tenant: amy.tenantId, tier: "builder" }),
  },
  "POST /tokens/:token/revoke": { act: "token.revoked", names: aToken, body: () => ({}) },
  "POST /keys/rotate": { act: "key.rotated", by: "root" },
  "POST /keys/:key/revoke": { act: "key.revoked", by: "root", names: aKey },
};

/** Routes that change nothing, although they are not GET. */
const READING: readonly string[] = ["POST /plans/:plan/replay"];

beforeAll(async () => {
  world = await aWebWorld();
  const { tenantId } = world.ada;
  amy = await world.fleet.operator({ tenantId });
  const finding = randomUUID();
  await world.fleet.query(
    `insert into drift_reports (id, tenant_id, operator_id, subject, what, severity)
     values ($1, $2, $3, 'product:shop', 'branch main', 'low')`,
    [finding, tenantId, amy.id],
  );
  await world.fleet.query(
    `insert into schedules (id, tenant_id, operator_id, product_id, cadence, definition, file, sha256)
     values ('shop', $1, $2, 'shop', 'on_push', $3, 'shop.json', repeat('0', 64))`,
    [tenantId, amy.id, { schema_version: 1, product_id: "shop", cadence: "on_push", jobs: [{ intent: "test" }] }],
  );
  names = { ...world.names, finding };
});
afterAll(async () => {
  await world.close();
});

const writing = webRoutes(() => Promise.resolve(""), NO_KEYS)
  .filter(({ method }) => method !== "get")
  .map(({ method, path }) => `${method.toUpperCase()} ${path.replace("/api/fleet", "")}`);

test("every writing route is listed with the action that it records", () => {
  expect([...Object.keys(ACTS), ...READING].toSorted()).toEqual(writing.toSorted());
});

test.each(Object.entries(ACTS))("%s is recorded with who, what and when", async (route, { act, by, ...call }) => {
  const asker = by === "root" ? world.root : amy;
  const here = { ...names, ...(await call.names?.()) };
  const [method = "", shape = ""] = route.split(" ");
  const path = shape.replaceAll(/:(?<name>\w+)/g, (_, name: string) => here[name] ?? name);
  const before = await newest();
  const outcome = world.outcome(path, { method, by: asker, ...(call.body ? { body: call.body() } : {}) });
  if (call.waits) await eventually(async () => (await runOpenGcRequests(world.fleet.fleet)) > 0 || undefined);
  const [status, body] = await outcome;

  expect(status, JSON.stringify(body)).toBeLessThan(300);
  const left = await world.fleet.query(
    `select actor, tenant_id, now() - at < interval '1 minute' as recent, length(hash) as hashed
     from audit_log where id > $1 and action = $2`,
    [before, act],
  );
  expect(left).toEqual([{ actor: asker.id, tenant_id: expect.any(String), recent: true, hashed: 64 }]);
});

test("a denied spawn is recorded with the numbers", async () => {
  const bob = await world.fleet.operator({ tenantId: amy.tenantId, tier: "builder" });
  const ask = { method: "POST", by: bob, body: { repository: world.repository, description: "x", agentType: "stub" } };

  expect((await world.outcome("/spawn", ask))[0]).toBe(201);
  expect(await world.outcome("/spawn", ask)).toEqual([403, "spawn-denied"]);

  expect(
    await world.fleet.query("select actor, detail from audit_log where action = 'spawn.denied' and operator_id = $1", [
      bob.id,
    ]),
  ).toEqual([{ actor: bob.id, detail: expect.objectContaining({ limit: 1, held: 1 }) }]);
});

test("a browser's login and logout are recorded", async () => {
  const before = await newest();
  const [, made] = await world.outcome("/login-links", { method: "POST", by: amy });
  const code = new URL(z.looseObject({ url: z.url() }).parse(made).url).searchParams.get("code") ?? "";
  const post = { method: "POST", redirect: "manual" } as const;
  const headers = { origin: world.web.url };
  const entered = await fetch(new URL("/login", world.web.url), {
    ...post,
    headers,
    body: new URLSearchParams({ code }),
  });
  const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
  const csrf = deriveCsrfToken(cookie.replace("fleet_session=", ""));
  const left = await fetch(new URL("/logout", world.web.url), {
    ...post,
    headers: { ...headers, cookie },
    body: new URLSearchParams({ csrf }),
  });

  expect([entered.status, left.status]).toEqual([303, 303]);
  expect(
    await world.fleet.query("select action, actor from audit_log where id > $1 and task_id is null order by id", [
      before,
    ]),
  ).toEqual(["login.linked", "session.began", "token.revoked"].map((action) => ({ action, actor: amy.id })));
});

test("no entry contains a token, a link's code or a private key", async () => {
  const rows = await world.fleet.query("select actor || action || detail::text as text from audit_log");

  const text = rows.map((row) => String(row["text"])).join("\n");
  expect(text).not.toMatch(/eyJ[\w-]{10,}|"d":|code=|Bearer/);
});

async function newest(): Promise<number> {
  const [row] = await world.fleet.query("select coalesce(max(id), 0)::int as id from audit_log");
  return z.int().parse(row?.["id"]);
}

const WAYS: Readonly<Partial<Record<TaskStatus, readonly TaskStatus[]>>> = {
  running: ["spawning", "running"],
  failed: ["spawning", "running", "failed"],
  ready: ["spawning", "running", "pr_created", "reviewing", "ready"],
  cancelled: ["cancelled"],
};

/** A task of amy's that was moved into that state by hand. */
function aTask(status: TaskStatus): () => Promise<{ task: string }> {
  return async () => {
    let task = await world.fleet.spawn(amy, { repository: world.repository });
    const patch = { dispatchId: randomUUID(), host: "here" };
    for (const to of WAYS[status] ?? [])
      task = await world.fleet.fleet.store.transitions.transition(SYSTEM, {
        task,
        to,
        actor: "test",
        action: "test.moved",
        patch,
      });
    return { task: task.id };
  };
}

async function anOperatorNamed(): Promise<{ operator: string }> {
  return { operator: "nina" };
}

/** The newest entry of amy's own. */
async function aToken(): Promise<{ token: string }> {
  await world.outcome("/ps", { by: amy });
  const [row] = await world.fleet.query("select jti from tokens where operator_id = $1 order by jti desc limit 1", [
    amy.id,
  ]);
  return { token: String(row?.["jti"]) };
}

async function anOrder(): Promise<{ order: string }> {
  const body = { productId: "shop", intent: "science_to_design", inputs: { dossier_id: "d-1" } };
  const [, made] = await world.outcome("/orders", { method: "POST", by: amy, body });
  return { order: z.looseObject({ id: z.string() }).parse(made).id };
}

async function aSetting(): Promise<{ key: string }> {
  return { key: "notify.channels" };
}

async function aKey(): Promise<{ key: string }> {
  const [row] = await world.fleet.query("select id from signing_keys where retire_at is not null limit 1");
  return { key: z.string().parse(row?.["id"]) };
}
