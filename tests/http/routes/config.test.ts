/**
 * Settings of operators and tenants, by the real CLI over a real server; their secrets, which are never shown again;
 * and the keys that seal them.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { main } from "../../../src/cli/main.ts";
import { resealAll } from "../../../src/conductor/access/reseal.ts";
import { stopTask } from "../../../src/conductor/tasks/stop.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { openChannels } from "../../../src/notify/channels.ts";
import { signWebhook } from "../../../src/notify/webhook.ts";
import { openSeal } from "../../../src/processes/auth/seal.ts";
import { startWeb, type RunningWeb } from "../../../src/processes/web.ts";
import { upsertSealedConfig } from "../../../src/store/config.ts";
import { type Store } from "../../../src/store/store.ts";
import { aReceiver, respondWith, type Receiver } from "../../notify/receiver.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

const newKey = () => randomBytes(32).toString("base64");
const OLD = newKey();
const NEW = newKey();
const SECRET = "the-secret-of-the-webhook-7f3a";
const pem = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}.pem`, import.meta.url), "utf8");

const toLoopback = () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]);

let world: TestFleet;
let web: RunningWeb;
let receiver: Receiver;
let ada: Operator;
let bob: Operator;
let eve: Operator;
let root: Operator;

beforeAll(async () => {
  receiver = await aReceiver(respondWith(204), { key: pem("key"), cert: pem("cert") });
  const http = { clock: () => new Date(), allowPrivate: true, resolve: toLoopback, ca: pem("cert") };
  const channels = openChannels({ write: () => undefined, http, environment: {} });
  world = await testFleet({ env: { FLEET_ENCRYPTION_KEY: OLD }, parts: { channels, random: () => 0 } });
  web = await startWeb({ ...world.open, fleet: world.fleet }, world.config, { relays: false });
  ada = await world.operator({ tier: "sovereign" });
  bob = await world.operator({ tenantId: ada.tenantId, tier: "builder" });
  eve = await world.operator();
  root = await world.operator({ role: "admin" });
});
afterAll(async () => {
  await web.close();
  await world[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

/** Runs `fleet config …` with the given standard input. */
async function config(by: Operator, words: readonly string[], typed = "") {
  let [out, err] = ["", ""];
  const exit = await main(["config", ...words], {
    env: { FLEET_URL: web.url, FLEET_TOKEN: await web.issueFor(by, 60_000) },
    cwd: "/",
    stdin: Readable.from([typed]),
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (err += text) },
    signal: new AbortController().signal,
    clock: () => new Date(),
    random: () => 0.5,
  });
  return { exit, out, err };
}

const Listed = z.object({ settings: z.array(z.looseObject({ key: z.string(), value: z.unknown() })) });
const listed = async (by: Operator, ...words: string[]) =>
  Listed.parse(JSON.parse((await config(by, ["list", "--json", ...words])).out)).settings;
const secretFrom = (...more: string[]) => ["set", "notify.webhook.secret", "--secret-from-stdin", ...more];

test("operators set, read, list and unset their own settings, and see no one else's", async () => {
  expect(await config(bob, ["set", "notify.channels", "terminal, email"])).toMatchObject({ exit: 0 });
  expect(await config(bob, ["get", "notify.channels"])).toMatchObject({ exit: 0, out: "terminal,email\n" });
  expect(await listed(bob)).toEqual([
    expect.objectContaining({ key: "notify.channels", value: ["terminal", "email"], by: bob.id, sealed: false }),
  ]);
  expect([await listed(ada), await listed(eve), await listed(bob, "--tenant")]).toEqual([[], [], []]);

  expect((await config(bob, ["unset", "notify.channels"])).exit).toBe(0);
  expect((await config(bob, ["unset", "notify.channels"])).exit).toBe(3);
  expect((await config(bob, ["get", "notify.channels"])).exit).toBe(3);
});

test("the tenant's settings are set by tier sovereign, and read by every operator of the tenant", async () => {
  expect(await config(bob, ["set", "notify.email.to", "bob@example.com", "--tenant"])).toMatchObject({ exit: 3 });
  expect(await config(ada, ["set", "notify.email.to", "all@example.com", "--tenant"])).toMatchObject({ exit: 0 });

  expect(await listed(bob, "--tenant")).toEqual([expect.objectContaining({ value: "all@example.com", by: ada.id })]);
  expect(await listed(eve, "--tenant")).toEqual([]);
  expect((await config(bob, ["unset", "notify.email.to", "--tenant"])).exit).toBe(3);
  expect((await config(ada, ["unset", "notify.email.to", "--tenant"])).exit).toBe(0);
});

test.each([
  [["set", "notify.channel", "terminal"], 2, /no setting of that name\. The settings: notify\.channels, /],
  [["set", "webhook.secret", "x"], 2, /The settings: .*notify\.webhook\.secret/],
  [["set", "__proto__", "x"], 2, /There is no setting/],
  [["get", "notify.email"], 2, /The settings: .*notify\.email\.to/],
  [["unset", "nonsense"], 2, /There is no setting/],
  [["set", "notify.channels", "terminal,pigeon"], 2, /notify\.channels/],
  [["set", "notify.channels", "email,email"], 2, /each channel once/],
  [["set", "notify.email.to", "nobody"], 2, /notify\.email\.to/],
  [["set", "notify.webhook.url", "http://hooks.example.com/"], 2, /^✖ only https/],
  [["set", "notify.webhook.url", "https://localhost/"], 2, /local name/],
  [["set", "notify.webhook.secret", SECRET], 2, /is a secret: pass it on standard input/],
  [["set", "notify.channels"], 2, /Give the value once/],
  [["set", "notify.channels", "terminal", "--secret-from-stdin"], 2, /Give the value once/],
])("%j is refused with an explanation", async (words, exit, said) => {
  const refused = await config(bob, words);

  expect(refused).toMatchObject({ exit, err: expect.stringMatching(said) });
  expect(refused.err).not.toContain(SECRET);
  expect(await listed(bob)).toEqual([]);
});

test("a webhook is signed with the secret that was set, and the secret appears nowhere", async () => {
  const url = `https://hooks.example.com:${receiver.port}/path-${SECRET}`;
  const outputs = [
    await config(ada, ["set", "notify.webhook.url", url, "--tenant"]),
    await config(ada, secretFrom("--tenant"), `${SECRET}\n`),
    await config(ada, ["set", "notify.channels", "webhook", "--tenant"]),
    await config(bob, ["list", "--tenant"]),
    await config(bob, ["list", "--tenant", "--json"]),
    await config(ada, ["get", "notify.webhook.secret", "--tenant"]),
    await config(ada, secretFrom(), "too short"),
  ];
  expect(outputs.map(({ exit }) => exit)).toEqual([0, 0, 0, 0, 0, 0, 2]);
  expect(outputs[3]?.out).toMatch(/notify\.webhook\.secret\s+set \(…[0-9a-f]{4}\)/);
  expect(outputs[3]?.out).toContain(`https://hooks.example.com:${receiver.port}/… set`);

  const task = await world.spawn(bob, { repository: await world.aRepository() });
  await stopTask(world.fleet, bob, task, "enough");
  await world.processHints();

  const [came] = receiver.received;
  const stamp = String(came?.headers["fleet-webhook-timestamp"]);
  expect(came?.headers["fleet-webhook-signature"]).toBe(signWebhook(SECRET, stamp, came?.body ?? ""));
  expect(JSON.stringify(outputs)).not.toContain(SECRET);
  expect(JSON.stringify([world.lines, world.logged])).not.toContain(SECRET);
  const stored = await everything(world);
  expect(stored).not.toContain(SECRET);
  expect(stored).not.toContain(Buffer.from(SECRET).toString("hex"));
  expect(
    await world.query(
      "select detail from audit_log where action = 'config.set' and detail->>'key' = 'notify.webhook.secret'",
    ),
  ).toEqual([
    {
      detail: {
        key: "notify.webhook.secret",
        tenant: true,
        fingerprint: expect.any(String),
        keyId: expect.any(String),
      },
    },
  ]);
});

test("an operator's own webhook is not signed with the tenant's secret", async () => {
  await config(bob, ["set", "notify.webhook.url", `https://own.example.com:${receiver.port}/`]);
  const before = receiver.received.length;

  const task = await world.spawn(bob, { repository: await world.aRepository() });
  await stopTask(world.fleet, bob, task, "enough");
  await world.processHints();
  await config(bob, ["unset", "notify.webhook.url"]);

  expect(receiver.received).toHaveLength(before);
});

test("a sealed value that was moved to another row cannot be opened", async () => {
  await config(ada, secretFrom(), "the-secret-of-ada-herself");
  await config(bob, secretFrom(), "the-secret-of-bob-himself");
  const sealedOf = async ({ id }: Operator) =>
    (await world.query("select sealed from fleet_config where operator_id = $1", [id]))[0];
  const hers = await sealedOf(ada);
  expect(hers).not.toEqual(await sealedOf(bob));

  await world.query("update fleet_config set sealed = $1 where operator_id = $2", [hers?.["sealed"], bob.id]);
  expect(await config(bob, ["list"])).toMatchObject({
    exit: 4,
    err: expect.stringContaining("belongs to another row"),
  });
  expect((await config(bob, ["unset", "notify.webhook.secret"])).exit).toBe(0);
});

test("keys are rotated: the new one seals, the old one opens until everything is resealed, also after an interruption", async () => {
  const seal = world.fleet.seal;
  await world.fleet.store.asSystem(async (tx) => {
    for (let n = 0; n < 250; n += 1) {
      const owner = { tenantId: `t${n}`, operatorId: "*", key: "notify.webhook.secret" };
      const sealed = seal.encrypt(`${SECRET}-${n}`, JSON.stringify(["fleet_config", owner.tenantId, "*", owner.key]));
      await upsertSealedConfig(tx, owner, { key: owner.key, sealed, keyId: seal.keyId, by: "test" });
    }
  });
  const stranger = { FLEET_ENCRYPTION_KEY: NEW };
  await expect(world.another({ env: stranger })).rejects.toMatchObject({
    code: "encryption-key-missing",
    message: expect.stringContaining(seal.keyId),
  });

  const { fleet: rotating } = await world.another({ env: { FLEET_ENCRYPTION_KEY: `${NEW},${OLD}` } });
  await expect(resealAll({ ...rotating, store: breakingAt(2, rotating.store) }, root)).rejects.toThrow("killed");
  const halfway = await resealAll(rotating, root);
  const again = await resealAll(rotating, root);

  expect(halfway).toMatchObject({ settings: 53, left: [] });
  expect(halfway.signingKeys).toBeGreaterThan(0);
  expect(again).toMatchObject({ settings: 0, signingKeys: 0, left: [] });
  const { fleet: renewed, open } = await world.another({ env: stranger });
  const second = await startWeb(open, { ...world.config, FLEET_ENCRYPTION_KEY: [NEW] }, { relays: false });
  await second.close();
  const [row] = await world.query("select sealed, key_id from fleet_config where tenant_id = 't249'");
  const bound = JSON.stringify(["fleet_config", "t249", "*", "notify.webhook.secret"]);
  const keyId = renewed.seal.keyId;
  expect(renewed.seal.decrypt(z.instanceof(Buffer).parse(row?.["sealed"]), { keyId, bound })).toBe(`${SECRET}-249`);
  expect(row?.["key_id"]).toBe(keyId);

  // A web process with only the old key continues, and reports what it cannot open instead of failing.
  expect((await config(ada, ["list"])).out).toContain("set, cannot be decrypted here");
  const left = await resealAll(world.fleet, root);
  expect(left).toMatchObject({ settings: 0, left: [{ keyId, settings: 253 }] });
});

test("resealing needs the role admin", async () => {
  expect((await config(ada, ["reseal"])).exit).toBe(3);
  expect(await config(root, ["reseal"])).toMatchObject({
    exit: 1,
    out: expect.stringContaining("which this server does not have"),
  });
});

test("of several keys the first one seals; the key file in the home directory opens what it sealed before the setting existed", async () => {
  const home = { FLEET_HOME: world.home };
  const file = await openSeal(home);
  const both = await openSeal({ ...home, FLEET_ENCRYPTION_KEY: [NEW, OLD] });

  expect(both.keyIds).toHaveLength(3);
  expect(both.keyIds[0]).toBe(both.keyId);
  expect(both.decrypt(file.encrypt("x", "here"), { keyId: file.keyId, bound: "here" })).toBe("x");
  expect(() => both.decrypt(file.encrypt("x", "here"), { keyId: file.keyId, bound: "there" })).toThrow("authenticate");
  expect(file.encrypt("x", "here")).not.toEqual(file.encrypt("x", "here"));
});

/** A store whose process is killed before its nth transaction commits. */
function breakingAt(nth: number, store: Store): Store {
  let begun = 0;
  return {
    ...store,
    asSystem: (work) =>
      store.asSystem(async (tx) => {
        begun += 1;
        const result = await work(tx);
        if (begun === nth) throw new Error("killed");
        return result;
      }),
  };
}

/** Every column of every table that holds text, sealed bytes too. */
async function everything({ query }: TestFleet): Promise<string> {
  const tables = await query("select tablename as name from pg_tables where schemaname = 'public'");
  let all = "";
  for (const { name } of tables) {
    const [row] = await query(`select string_agg(t::text, ' ') as text from ${String(name)} t`);
    all += String(row?.["text"]);
  }
  return all;
}
