/** Signing keys over real web processes: rotated under load, revoked, shown without their private halves. */
import { decodeProtectedHeader } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { Operator } from "../../../src/domain/operator.ts";
import { startWeb, type RunningWeb } from "../../../src/processes/web.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

let fleet: TestFleet;
let webs: RunningWeb[];
let root: Operator;

beforeAll(async () => {
  fleet = await testFleet();
  const { open } = await fleet.another();
  webs = [
    await startWeb(fleet.open, fleet.config, { relays: false }),
    await startWeb(open, fleet.config, { relays: false }),
  ];
  root = await fleet.operator({ role: "admin" });
});
afterAll(async () => {
  await Promise.all(webs.map((web) => web.close()));
  await fleet[Symbol.asyncDispose]();
});

const first = () => webs[0]!;
const kidOf = (token: string) => decodeProtectedHeader(token).kid ?? "";

async function ask(web: RunningWeb, path: string, token: string, body?: object) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const post = body ? { method: "POST", body: JSON.stringify(body) } : {};
  return fetch(new URL(path, web.url), { headers, ...post });
}

const statusOf = async (web: RunningWeb, token: string) => (await ask(web, "/api/fleet/keys", token)).status;

const refused = (web: RunningWeb, token: string) =>
  eventually(async () => (await statusOf(web, token)) === 401 || undefined, 5_000);

async function published(web: RunningWeb) {
  const response = await fetch(new URL("/.well-known/jwks.json", web.url));
  const { keys } = z.object({ keys: z.array(z.record(z.string(), z.unknown())) }).parse(await response.json());
  return { keys, kids: keys.map(({ kid }) => kid), cache: response.headers.get("cache-control") };
}

const Keys = z.object({ keys: z.array(z.object({ kid: z.string(), standing: z.string() })) });

test("keys are rotated under constant load from two web processes, and no token is refused", async () => {
  const [before] = (await published(first())).kids;
  const tokens = await Promise.all(webs.map((web) => web.issueFor(root, 60_000)));
  const statuses: number[] = [];
  let over = false;
  // Each client sends a fresh token of one process to the other, which may never have seen its key.
  const load = webs.map(async (web, at) => {
    // Set concurrently, when the rotations are complete.
    // oxlint-disable-next-line eslint/no-unmodified-loop-condition
    while (!over) {
      const fresh = await web.issueFor(root, 60_000);
      const other = webs[1 - at]!;
      statuses.push(
        ...(await Promise.all([statusOf(other, fresh), statusOf(other, tokens[at]!), statusOf(web, fresh)])),
      );
    }
  });
  for (let round = 0; round < 4; round += 1) {
    const rotated = await ask(webs[round % 2]!, "/api/fleet/keys/rotate", tokens[0]!, {});
    expect(rotated.status).toBe(201);
    const [newest] = Keys.parse(await rotated.json()).keys;
    expect(kidOf(await webs[round % 2]!.issueFor(root, 60_000))).toBe(newest?.kid);
  }
  await eventually(async () => {
    const [here, there] = await Promise.all(webs.map((web) => published(web)));
    return here?.kids.join() === there?.kids.join() || undefined;
  }).finally(() => (over = true));
  await Promise.all(load);

  expect(new Set(statuses)).toEqual(new Set([200]));
  const { keys, kids, cache } = await published(first());
  expect(kids).toHaveLength(5);
  expect(kids).toContain(before);
  expect(cache).toContain("max-age=300");
  for (const key of keys) expect(Object.keys(key).toSorted()).toEqual(["alg", "crv", "kid", "kty", "use", "x", "y"]);
});

test("a revoked key is refused at once where it was revoked, and everywhere within seconds", async () => {
  const token = await first().issueFor(root, 60_000);
  expect((await ask(first(), `/api/fleet/keys/${kidOf(token)}/revoke`, token, {})).status).toBe(200);

  expect(await statusOf(first(), token)).toBe(401);
  await refused(webs[1]!, token);
  expect((await published(first())).kids).not.toContain(kidOf(token));

  const fresh = await first().issueFor(root, 60_000);
  expect(kidOf(fresh)).not.toBe(kidOf(token));
  expect(await statusOf(webs[1]!, fresh)).toBe(200);
  const audit = await fleet.query("select action from audit_log where operator_id = $1 order by seq", [root.id]);
  expect(audit.map(({ action }) => action)).toEqual([...Array<string>(4).fill("key.rotated"), "key.revoked"]);
});

test("a retired key verifies until its period is over", async () => {
  const [old, other] = await Promise.all(webs.map((web) => web.issueFor(root, 60_000)));
  expect((await ask(first(), "/api/fleet/keys/rotate", old!, { overlapHours: 0 })).status).toBe(201);

  expect(await statusOf(first(), old!)).toBe(401);
  await refused(webs[1]!, other!);
});

test("managing keys needs the role admin, and an unknown key is refused by name", async () => {
  const token = await first().issueFor(root, 60_000);
  const ada = await first().issueFor(await fleet.operator({ tier: "sovereign" }), 60_000);
  expect(await statusOf(first(), ada)).toBe(403);
  expect((await ask(first(), "/api/fleet/keys/rotate", ada, {})).status).toBe(403);
  expect((await ask(first(), `/api/fleet/keys/${kidOf(ada)}/revoke`, ada, {})).status).toBe(403);
  expect((await ask(first(), "/api/fleet/keys/nobody/revoke", token, {})).status).toBe(404);
  expect((await ask(first(), "/api/fleet/keys/a%20b/revoke", token, {})).status).toBe(422);
  expect((await ask(first(), "/api/fleet/keys/rotate", token, { overlapHours: 1_000 })).status).toBe(422);
  expect(await statusOf(first(), token)).toBe(200);
});
