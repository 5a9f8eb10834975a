/**
 * The queue board on both backends: each of its routes for viewers, for admins and for everyone else; and no payload
 * of a job is ever shown.
 */
import { randomUUID } from "node:crypto";
import { request } from "node:http";
import { appRoutes } from "@bull-board/api/dist/routes.js";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { z } from "zod";
import { defineQueue } from "../../../queues/define.ts";
import { hostQueue } from "../../../queues/host.ts";
import { migrateQueueBackend } from "../../../src/broker/broker.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import type { Task } from "../../../src/domain/task/task.ts";
import { deriveCsrfToken } from "../../../src/http/auth/csrf.ts";
import { mountBoard } from "../../../src/http/board/board.ts";
import { getTask } from "../../../src/store/tasks.ts";
import { testBroker, type TestBroker } from "../../contracts/broker-support.ts";
import { someOperator, testApi, testToken, type TestApi } from "../../support/api.ts";
import { eventually } from "../../support/eventually.ts";
import { testStore } from "../../support/store.ts";

const CANARY = "canary-4f1d9";
const PUBLIC_URL = "http://fleet.test";
const admin: Operator = { ...someOperator, role: "admin" };
const looker: Operator = { ...someOperator, role: "queue-operator" };

/** The routes as the board itself lists them, so that a route of a new version is covered, too. */
const ROUTES = appRoutes.api.flatMap(({ method, route }) =>
  [method].flat().flatMap((one) => [route].flat().map((path) => ({ method: one.toUpperCase(), path }))),
);
const READING = ROUTES.filter(({ method }) => method === "GET").map(({ path }) => path);
/** Workers are not shown, because PostgreSQL does not know who is connected for which queue. */
const NOT_SHOWN = "/api/queues/:queueName/workers";
const WRITING = ROUTES.filter(({ method }) => method !== "GET");

const jobs = defineQueue({ name: "play", payload: z.unknown(), jobId: () => randomUUID(), attempts: 1 });

type Backend = "redis" | "postgres";
const BACKENDS: readonly Backend[] = ["redis", "postgres"];

interface World {
  readonly api: TestApi;
  readonly task: Task;
  /** Registered hosts; each has a queue of its own. */
  readonly hosts: string[];
  readonly ask: (path: string, asking?: Asking) => Promise<Response>;
  readonly close: () => Promise<void>;
}

interface Asking {
  /** Null means that no operator is logged in. */
  readonly by?: Operator | null;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const worlds = new Map<Backend, World>();
beforeAll(async () => {
  for (const backend of BACKENDS) worlds.set(backend, await aBoard(backend));
});
afterAll(() => Promise.all([...worlds.values()].map((world) => world.close())));

function on(backend: Backend): World {
  return worlds.get(backend) ?? raise();
}

async function aBoard(backend: Backend): Promise<World> {
  const store = await testStore();
  const hosts: string[] = [];
  const task = await store.task(await store.operator({ id: admin.id, tenantId: admin.tenantId }), "running");
  const broker = await aBroker(backend, store.url);
  await fill(broker, task.id);
  const queues = () => broker.bullQueues([jobs, ...hosts.map((id) => hostQueue(id))]);
  const findTask = (by: Operator, id: string) => store.store.as(by, (tx) => getTask(tx, id));
  const api = await testApi([], ({ identify }) => ({
    mounts: [(app) => mountBoard(app, { identify, queues, publicUrl: PUBLIC_URL, findTask })],
  }));
  return {
    api,
    task,
    hosts,
    ask: (path, asking) => ask(api, path, asking),
    async close() {
      await api.close();
      for (const queue of broker.bullQueues([jobs])) await queue.obliterate({ force: true });
      await broker.close();
      await store[Symbol.asyncDispose]();
    },
  };
}

async function aBroker(backend: Backend, databaseUrl: string): Promise<TestBroker> {
  const prefix = `board-${randomUUID().slice(0, 8)}`;
  if (backend === "postgres") await migrateQueueBackend(databaseUrl, prefix);
  const where = backend === "redis" ? { redisUrl: inject("redisUrl") } : {};
  const broker = await testBroker({ databaseUrl, prefix, ...where });
  await broker.consume(jobs, async (data) => {
    if (JSON.stringify(data).includes("fails")) throw new Error(`git said: ${CANARY}`);
    return { said: CANARY };
  });
  return broker;
}

/** A failed job and a completed one, with the canary in every field that a job can store. */
async function fill(broker: TestBroker, taskId: string): Promise<void> {
  const [queue = raise()] = broker.bullQueues([jobs]);
  for (const jobId of ["fails", "works"]) {
    const data = { taskId, epoch: 3, prompt: CANARY, [CANARY + jobId]: { deep: [CANARY] }, hostId: `${CANARY} x` };
    await queue.add("play", data, { jobId, attempts: 1, backoff: { type: "fixed", delay: 5 } });
  }
  await queue.add(`a name that holds ${CANARY}`, { taskId: `${CANARY} ` }, { jobId: "later", delay: 3_600_000 });
  await queue.upsertJobScheduler("tick", { every: 3_600_000 }, { name: "tick", data: { note: CANARY, epoch: 1 } });
  await eventually(async () => {
    const counts = await queue.getJobCounts("failed", "completed");
    return counts["failed"] === 1 && (counts["completed"] ?? 0) >= 1 ? true : undefined;
  });
  for (const id of ["fails", "works"]) {
    const job = (await queue.getJob(id)) ?? raise();
    await job.log(`log: ${CANARY}`);
    await job.updateProgress({ at: CANARY });
  }
}

async function ask(api: TestApi, path: string, { by = admin, method = "GET", headers = {} }: Asking = {}) {
  const session = await testToken(api.key, by ?? admin, "session");
  const cookie = by ? { cookie: `fleet_session=${session}`, "x-xsrf-token": deriveCsrfToken(session) } : {};
  const own = method === "GET" ? {} : { origin: api.url, "content-type": "application/json" };
  return fetch(new URL(path, api.url), {
    method,
    redirect: "manual",
    headers: { accept: "application/json", ...own, ...cookie, ...headers },
    ...(method === "GET" ? {} : { body: "{}" }),
  });
}

function at(path: string, jobId = "fails"): string {
  return `/queues${path}`
    .replace(":queueName", "play")
    .replace(":jobId", jobId)
    .replace(":queueStatus", "failed")
    .replace(":schedulerId", "tick");
}

test.each(BACKENDS)("on %s no response contains a job's payload, result, log or error", async (backend) => {
  const { ask: asking, task } = on(backend);
  const statuses = ["latest", "failed", "completed", "delayed"];
  const lists = statuses.map((status) => `/queues/api/queues?activeQueue=play&status=${status}&page=1`);
  const details = READING.filter((path) => path !== NOT_SHOWN).flatMap((path) =>
    ["fails", "works", "later"].map((id) => at(path, id)),
  );
  let seen = "";
  for (const path of [...lists, ...details]) {
    const response = await asking(path);
    const text = await response.text();
    expect([path, response.status, text.includes(CANARY)]).toEqual([path, 200, false]);
    seen += text;
  }
  expect(READING.length).toBeGreaterThan(8);
  expect(seen).toContain(task.id);
  expect(seen).toContain("may quote an agent");
  expect(seen).toContain('"stacktrace":["hidden"]');
});

const Linked = z.object({
  job: z.object({ externalUrl: z.object({ href: z.string(), displayText: z.string() }), isFailed: z.boolean() }),
});

test.each(BACKENDS)("on %s a job links to its task's page, for those who may see that task", async (backend) => {
  const { ask: asking, task } = on(backend);
  const { job } = Linked.parse(await (await asking("/queues/api/queues/play/fails")).json());
  expect(job).toEqual({
    externalUrl: { href: `/queues/tasks/${task.id}`, displayText: `Task ${task.id.slice(-8)}` },
    isFailed: true,
  });
  const page = await asking(job.externalUrl.href, { by: looker });
  expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  expect(await page.text()).toContain("<td>running</td>");
  expect((await asking(job.externalUrl.href, { by: someOperator })).status).toBe(403);
  expect((await asking(job.externalUrl.href, { by: { ...looker, tenantId: "other" } })).status).toBe(404);
  expect((await asking(`/queues/tasks/${randomUUID()}`)).status).toBe(404);
});

test.each(WRITING)("$method $path needs a login, role admin, our origin and our host", async ({ method, path }) => {
  const { ask: asking, api } = on("redis");
  const statusBy = async (by: Operator | null, headers: Record<string, string> = {}) =>
    (await asking(at(path), { by, method, headers })).status;

  expect(await statusBy(null)).toBe(401);
  expect(await statusBy(someOperator)).toBe(403);
  expect(await statusBy(looker)).toBe(403);
  expect(await statusBy(admin, { origin: "http://evil.example" })).toBe(403);
  expect(await statusBy(admin, { "sec-fetch-site": "cross-site" })).toBe(403);
  expect(await statusBy(admin, { "x-xsrf-token": "" })).toBe(403);
  expect(await statusBy(admin, { "x-xsrf-token": deriveCsrfToken(await testToken(api.key, admin, "session")) })).toBe(
    403,
  );
  expect(await statusAtHost(api, "evil.example", { method, path: at(path) })).toBe(403);
  expect(await statusBy(null, { authorization: `Bearer ${await api.token(looker)}` })).toBe(403);
});

/** fetch does not allow setting the Host header. */
async function statusAtHost(api: TestApi, host: string, { method, path }: { method: string; path: string }) {
  const session = await testToken(api.key, admin, "session");
  const cookie = `fleet_session=${session}`;
  const headers = { host, cookie, origin: `http://${host}`, "x-xsrf-token": deriveCsrfToken(session) };
  return new Promise<number | undefined>((resolve, reject) => {
    request(new URL(path, api.url), { method, headers }, (response) => resolve(response.resume().statusCode))
      .on("error", reject)
      .end();
  });
}

test("every response restricts scripts and frames: pages, lists, refusals and 404s", async () => {
  const { ask: asking, task } = on("redis");
  const requests: readonly (readonly [string, Operator | null])[] = [
    ["/queues", admin],
    ["/queues/api/queues", looker],
    ["/queues/api/queues/nothing/x", admin],
    ["/queues/nothing", admin],
    ["/queues/static/nothing.js", admin],
    ["/queues", someOperator],
    ["/queues/api/queues", null],
    [`/queues/tasks/${task.id}`, admin],
  ];
  for (const [path, by] of requests) {
    const policy = (await asking(path, { by })).headers.get("content-security-policy");
    expect([path, policy]).toEqual([path, expect.stringContaining("default-src 'none'")]);
    expect([path, policy]).toEqual([path, expect.stringContaining("frame-ancestors 'none'")]);
  }
});

test("a malformed body is refused without the parser's message", async () => {
  const { api } = on("redis");
  const response = await fetch(new URL("/queues/api/queues/play/add", api.url), {
    method: "POST",
    headers: { authorization: `Bearer ${await api.token(admin)}`, "content-type": "application/json" },
    body: `{"${CANARY}`,
  });
  expect(response.status).toBe(400);
  expect(await response.text()).not.toContain(CANARY);
});

const Queues = z.object({
  queues: z.array(z.object({ name: z.string(), isPaused: z.boolean(), readOnlyMode: z.boolean() })),
});

test.each(BACKENDS)(
  "on %s the queue of a new host appears on the next request, and an admin can pause it",
  async (backend) => {
    const { ask: asking, hosts } = on(backend);
    const seenBy = async (by: Operator) =>
      Queues.parse(await (await asking("/queues/api/queues", { by })).json()).queues;
    expect((await seenBy(admin)).map(({ name }) => name)).toEqual(["play"]);

    hosts.push("build-9");
    expect((await seenBy(looker)).map(({ name }) => name)).toEqual(["play", "host.build-9"]);
    expect((await asking("/queues/api/queues/host.build-9/pause", { method: "PUT" })).status).toBe(200);
    expect((await seenBy(looker)).at(-1)).toEqual({ name: "host.build-9", isPaused: true, readOnlyMode: true });
    expect((await seenBy(admin)).at(-1)).toMatchObject({ isPaused: true, readOnlyMode: false });
  },
);

function raise(): never {
  throw new Error("It is not there.");
}
