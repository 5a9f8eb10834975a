/** Hostile tokens and headers on every kind of route of a real web process: refused 401, or without any effect. Never 5xx. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Operator } from "../../src/domain/operator.ts";
import { createSigningKey } from "../../src/http/auth/tokens.ts";
import { loadSigningKeys } from "../../src/processes/auth/keys.ts";
import { startWeb, type RunningWeb } from "../../src/processes/web.ts";
import { eventually } from "../support/eventually.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";
import { aTrap, parseCases } from "./cases.ts";
import { buildToken, TokenCase, type Signers } from "./identity-tokens.ts";
import file from "./identity.json" with { type: "json" };

const trap = aTrap();
let fleet: TestFleet;
let web: RunningWeb;
let ada: Operator;
let root: Operator;
let eve: Operator;
let signers: Signers;
let taskId: string;

beforeAll(async () => {
  fleet = await testFleet();
  web = await startWeb(fleet.open, fleet.config, { relays: false });
  ada = await fleet.operator();
  eve = await fleet.operator();
  root = await fleet.operator({ role: "admin" });
  signers = {
    ours: (await loadSigningKeys(fleet.fleet.store, fleet.config)).signing,
    stranger: await createSigningKey(),
  };
  taskId = (await fleet.spawn(ada, { repository: await fleet.aRepository() })).id;
});
afterAll(async () => {
  trap[Symbol.dispose]();
  await web.close();
  await fleet[Symbol.asyncDispose]();
});

const seconds = () => Math.floor(Date.now() / 1_000);
const goodClaims = () => ({
  sub: ada.id,
  tenant: ada.tenantId,
  tier: ada.tier,
  iss: "fleetwright",
  aud: "fleetwright-api",
  iat: seconds(),
  exp: seconds() + 600,
  jti: randomUUID(),
});
const fill = (text: string) =>
  trap.fill(text, {
    kid: signers.ours.kid,
    strangerKid: signers.stranger.kid,
    otherTenant: eve.tenantId,
    root: root.id,
  });

interface Kind {
  readonly method: string;
  readonly path: () => string;
}

/** One route of each kind that takes a token. */
const KINDS: readonly Kind[] = [
  { method: "GET", path: () => "/api/fleet/tasks" },
  { method: "GET", path: () => "/api/fleet/events" },
  { method: "POST", path: () => "/api/fleet/spawn" },
  { method: "POST", path: () => `/api/fleet/tasks/${taskId}/stop` },
  { method: "DELETE", path: () => `/api/fleet/tasks/${taskId}` },
  { method: "POST", path: () => "/api/fleet/keys/rotate" },
  { method: "GET", path: () => "/queues/api/queues" },
];

async function ask({ method, path }: Kind, headers: Readonly<Record<string, string>>): Promise<[number, string]> {
  const response = await fetch(new URL(path(), web.url), {
    method,
    redirect: "manual",
    headers: { accept: "application/json", ...headers },
    signal: AbortSignal.timeout(10_000),
  });
  const text = response.headers.get("content-type")?.startsWith("text/event-stream") ? "" : await response.text();
  await response.body?.cancel().catch(() => undefined);
  return [response.status, /"\/problems\/([a-z-]+)"/.exec(text)?.[1] ?? ""];
}

const everywhere = (token: string) => Promise.all(KINDS.map((kind) => ask(kind, { authorization: `Bearer ${token}` })));
const REFUSED = KINDS.map(() => [401, "unauthenticated"]);
const tokenFor = (made: Partial<TokenCase>) =>
  buildToken(TokenCase.parse({ name: "x", proves: "x", ...made }), signers, goodClaims(), fill);

test("the token that the cases are derived from is valid", async () => {
  const token = await tokenFor({});
  const [status] = await ask({ method: "GET", path: () => "/api/fleet/tasks" }, { authorization: `Bearer ${token}` });
  expect(status).toBe(200);
});

describe("refused on every kind of route:", () => {
  test.each(parseCases(TokenCase, file))("$name", async (hostile) => {
    expect(await everywhere(await buildToken(hostile, signers, goodClaims(), fill))).toEqual(REFUSED);
  });
});

test.each([
  ["none", undefined],
  ["another scheme", "Basic YTpi"],
  ["two tokens", "Bearer a.b.c, Bearer a.b.c"],
  ["nothing behind Bearer", "Bearer "],
])("a request with %s as its token is refused on every kind of route", async (_what, authorization) => {
  const answers = await Promise.all(KINDS.map((kind) => ask(kind, authorization ? { authorization } : {})));
  expect(answers).toEqual(REFUSED);
});

test("two cookies, and an access token as a cookie, are refused, and a cookie does not authenticate the API", async () => {
  const token = await web.issueFor(root, 60_000);
  const board: Kind = { method: "GET", path: () => "/queues/api/queues" };
  expect(await ask(board, { cookie: `fleet_session=${token}` })).toEqual([401, "unauthenticated"]);
  expect(await ask(board, { cookie: "fleet_session=a; fleet_session=b" })).toEqual([401, "unauthenticated"]);
  expect(await ask(KINDS[0]!, { cookie: `fleet_session=${token}` })).toEqual([401, "unauthenticated"]);
});

test("a spoofed header changes nothing: tier, tenant and role are those of the token", async () => {
  const low = await fleet.operator({ tenantId: ada.tenantId, tier: "participant" });
  const authorization = `Bearer ${await web.issueFor(low, 600_000)}`;
  const paths = ["/api/fleet/tasks?all=true", "/api/fleet/keys", "/api/fleet/status"];
  const answer = async (headers: Readonly<Record<string, string>>) => {
    const spawn = await ask(KINDS[2]!, { authorization, ...headers });
    const texts = paths.map(async (path) => {
      const response = await fetch(new URL(path, web.url), { headers: { authorization, ...headers } });
      // The id of a refusal is new each time.
      return [response.status, (await response.text()).replaceAll(/"(?:instance|requestId|asOf)":"[^"]*"/g, "")];
    });
    return [spawn, ...(await Promise.all(texts))];
  };
  const plain = await answer({});
  expect(plain[0]).toEqual([403, "tier-too-low"]);

  for (const headers of file.spoofs) {
    const named = Object.entries(headers).map(([name, value]): [string, string] => [name, fill(value)]);
    expect(await answer(Object.fromEntries(named)), JSON.stringify(headers)).toEqual(plain);
  }
});

test("a revoked token is refused on every kind of route", async () => {
  const claims = { ...goodClaims(), jti: randomUUID() };
  const token = await buildToken(TokenCase.parse({ name: "x", proves: "x" }), signers, claims, fill);
  const authorization = `Bearer ${await web.issueFor(root, 60_000)}`;
  const revoked = await fetch(new URL(`/api/fleet/tokens/${claims.jti}/revoke`, web.url), {
    method: "POST",
    headers: { authorization },
  });

  expect(revoked.status).toBe(200);
  expect(await everywhere(token)).toEqual(REFUSED);
});

test("after all of them the task is unchanged, no operator was added, no error was logged and nothing was run", async () => {
  expect((await fleet.read(taskId)).status).toBe("proposed");
  const [row] = await fleet.query("select count(*)::int as n from operators where id like '%nobody%'");
  expect(row).toEqual({ n: 0 });
  await eventually(async () => (await fetch(new URL("/healthz", web.url))).status === 200 || undefined);
  expect(fleet.logged.filter(({ level }) => level === "error")).toEqual([]);
  trap.expectUnsprung();
});
