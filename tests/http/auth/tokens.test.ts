/**
 * Tokens over two real web processes: issued, expired, revoked; and rights that are lowered while a token is valid.
 */
import { setTimeout as pause } from "node:timers/promises";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { main } from "../../../src/cli/main.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { startWeb, type RunningWeb } from "../../../src/processes/web.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

let fleet: TestFleet;
let webs: [RunningWeb, RunningWeb];
let root: Operator;
let repository: string;

beforeAll(async () => {
  fleet = await testFleet();
  const { open } = await fleet.another();
  webs = [
    await startWeb(fleet.open, fleet.config, { relays: false }),
    await startWeb(open, fleet.config, { relays: false }),
  ];
  root = await fleet.operator({ role: "admin" });
  repository = await fleet.aRepository();
});
afterAll(async () => {
  await Promise.all(webs.map((web) => web.close()));
  await fleet[Symbol.asyncDispose]();
});

async function ask(web: RunningWeb, path: string, token: string, body?: object) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const post = body ? { method: "POST", body: JSON.stringify(body) } : {};
  return fetch(new URL(`/api/fleet${path}`, web.url), { headers, ...post });
}

const statusOf = async (web: RunningWeb, path: string, token: string, body?: object) =>
  (await ask(web, path, token, body)).status;
const spawn = () => ({ repository, description: "x", agentType: "stub" });

async function type(by: Operator, ...words: string[]) {
  const token = await webs[0].issueFor(by, 600_000);
  let [out, err] = ["", ""];
  const exit = await main(words, {
    env: { FLEET_URL: webs[0].url, FLEET_TOKEN: token, FLEET_HOME: fleet.home, NO_COLOR: "1" },
    cwd: "/",
    stdout: { write: (text) => void (out += text), isTTY: false, columns: 120 },
    stderr: { write: (text) => void (err += text), isTTY: false, columns: 120 },
    signal: new AbortController().signal,
    clock: () => new Date(),
    random: () => 0.5,
  });
  return { exit, out: out.trim(), err };
}

test("a token that an admin issues with the CLI is shown once, works, and is refused everywhere once it is revoked", async () => {
  const options = [
    "--operator",
    "carl",
    "--tenant",
    "umbrella",
    "--tier",
    "builder",
    "--ttl",
    "8h",
    "--name",
    "laptop",
  ];
  const { exit, out: token } = await type(root, "token", "issue", ...options);
  const { jti = "", exp = 0, iat = 0, ...claims } = decodeJwt(token);

  expect(exit).toBe(0);
  expect(claims).toMatchObject({ sub: "carl", tenant: "umbrella", tier: "builder" });
  expect(exp - iat).toBe(8 * 3_600);
  expect(await Promise.all(webs.map((web) => statusOf(web, "/tasks", token)))).toEqual([200, 200]);
  const listed = await type(root, "token", "list");
  expect(listed.out).toMatch(new RegExp(`${jti.slice(-8)} +carl of umbrella +builder +laptop`));
  expect(JSON.stringify(await fleet.query("select * from tokens"))).not.toContain(token);

  const stream = await ask(webs[1], "/events", token);
  expect(stream.status).toBe(200);
  expect((await type(root, "token", "revoke", jti.slice(-8))).exit).toBe(0);
  expect(await statusOf(webs[0], "/tasks", token)).toBe(401);
  await eventually(async () => (await statusOf(webs[1], "/tasks", token)) === 401 || undefined, 5_000);
  // A stream that was already open is ended, too.
  expect(await Promise.race([stream.text().then(() => "ended"), pause(8_000)])).toBe("ended");
  const acts = await fleet.query("select action, detail from audit_log where operator_id = $1 order by id", [root.id]);
  expect(acts).toMatchObject([
    { action: "token.issued", detail: { jti, operator: "carl", isNew: true } },
    { action: "token.revoked", detail: { jti } },
  ]);
});

test("an issued token never has more rights than its issuer or its operator; operators without the role may only revoke their own", async () => {
  const small = await fleet.operator({ role: "admin", tier: "builder" });
  const ada = await fleet.operator({ tier: "builder" });
  const [token, adas] = [await webs[0].issueFor(small, 60_000), await webs[0].issueFor(ada, 60_000)];
  const to = (operator: string, tier: string, tenant = ada.tenantId) =>
    statusOf(webs[0], "/tokens", token, { operator, tenant, tier });

  expect(await to("puppet", "sovereign")).toBe(403);
  expect(await to(small.id, "sovereign", small.tenantId)).toBe(403);
  expect(await to(ada.id, "builder")).toBe(201);
  expect(await to(ada.id, "builder", "elsewhere")).toBe(422);
  expect(await statusOf(webs[0], "/operators", token, { operator: small.id, tier: "sovereign" })).toBe(403);
  expect(
    await statusOf(webs[0], "/tokens", token, { operator: "x", tenant: "y", tier: "builder", ttlMinutes: 1_441 }),
  ).toBe(422);
  expect(await statusOf(webs[0], "/tokens", adas, { operator: ada.id, tenant: ada.tenantId, tier: "builder" })).toBe(
    403,
  );
  expect(await statusOf(webs[0], `/tokens/${decodeJwt(token).jti}/revoke`, adas, {})).toBe(404);
  expect(await statusOf(webs[0], `/tokens/${decodeJwt(adas).jti}/revoke`, adas, {})).toBe(200);
  expect(await statusOf(webs[0], "/tasks", adas)).toBe(401);
});

test("a lowered tier applies to the next spawn and stop everywhere, whatever the token says; a disabled or removed operator is refused", async () => {
  const ada = await fleet.operator();
  const token = await webs[0].issueFor(ada, 600_000);
  const admin = await webs[0].issueFor(root, 600_000);
  const made = z.object({ id: z.string() }).parse(await (await ask(webs[1], "/spawn", token, spawn())).json());
  const acts = () =>
    Promise.all(
      webs.flatMap((web) => [
        statusOf(web, "/spawn", token, spawn()),
        statusOf(web, `/tasks/${made.id}/stop`, token, {}),
      ]),
    );

  expect(await statusOf(webs[0], "/operators", admin, { operator: ada.id, tier: "observer" })).toBe(200);
  expect(await acts()).toEqual([403, 403, 403, 403]);
  expect(await statusOf(webs[1], "/tasks", token)).toBe(200);

  expect(await statusOf(webs[0], `/operators/${ada.id}/disable`, admin, {})).toBe(200);
  expect(await acts()).toEqual([401, 401, 401, 401]);
  await eventually(async () => (await statusOf(webs[1], "/tasks", token)) === 401 || undefined, 5_000);

  expect(await statusOf(webs[0], `/operators/${ada.id}/enable`, admin, {})).toBe(200);
  expect(await statusOf(webs[0], "/operators", admin, { operator: ada.id, tier: "builder" })).toBe(200);
  expect(await statusOf(webs[1], `/tasks/${made.id}/stop`, token, {})).toBe(200);

  const bob = await fleet.operator();
  const bobs = await webs[0].issueFor(bob, 600_000);
  await fleet.query("delete from slots where operator_id = $1", [bob.id]);
  await fleet.query("delete from operators where id = $1", [bob.id]);
  expect(await Promise.all(webs.map((web) => statusOf(web, "/spawn", bobs, spawn())))).toEqual([401, 401]);
});

test("a revoked role no longer applies to the next change of any kind", async () => {
  const former = await fleet.operator({ role: "admin" });
  const token = await webs[0].issueFor(former, 600_000);
  expect(await statusOf(webs[1], "/keys/rotate", token, { overlapHours: 999 })).toBe(422);
  expect((await type(root, "operators", "set", former.id, "--role", "none")).exit).toBe(0);
  expect(await statusOf(webs[1], "/keys/rotate", token, {})).toBe(403);
});

test("a login link is used up in one web process for both, and logging out ends the session in both", async () => {
  const link = new URL(await webs[0].loginLinkFor(root));
  const enter = (web: RunningWeb) =>
    fetch(new URL("/login", web.url), {
      method: "POST",
      redirect: "manual",
      headers: { origin: web.url, accept: "application/json" },
      body: new URLSearchParams({ code: link.searchParams.get("code") ?? "" }),
    });
  const entered = await enter(webs[0]);
  const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
  const board = async (web: RunningWeb) =>
    (await fetch(new URL("/queues/api/queues", web.url), { headers: { cookie, accept: "application/json" } })).status;

  expect(entered.status).toBe(303);
  expect((await enter(webs[1])).status).toBe(401);
  expect(await Promise.all(webs.map((web) => board(web)))).toEqual([200, 200]);

  const out = { method: "POST", redirect: "manual", headers: { cookie, origin: webs[1].url } } as const;
  // The CSRF token comes from the other web process: each derives the same one from a session.
  const page = await (await fetch(new URL("/logout", webs[0].url), { headers: { cookie } })).text();
  const csrf = /name="csrf" value="(?<csrf>[^"]+)"/.exec(page)?.groups?.["csrf"] ?? "";
  const body = new URLSearchParams({ csrf });
  expect((await fetch(new URL("/logout", webs[1].url), { ...out, body })).status).toBe(303);
  expect(await board(webs[1])).toBe(401);
  await eventually(async () => (await board(webs[0])) === 401 || undefined, 5_000);
});
