/** Hostile webhook URLs: refused in settings where the spelling shows it, and by the sender before any connection. */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { deliverNotification } from "../../src/conductor/notify/deliver.ts";
import type { NotifyJob } from "../../queues/notify.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { openChannels } from "../../src/notify/channels.ts";
import type { GuardOptions } from "../../src/notify/url-guard.ts";
import { webhookChannel } from "../../src/notify/webhook.ts";
import { loadSettings } from "../../src/processes/settings.ts";
import { findFreePort } from "../../src/store/embedded/postgres-server.ts";
import { upsertConfig } from "../../src/store/config.ts";
import { insertNotifications } from "../../src/store/notifications.ts";
import { aMessage } from "../notify/message.ts";
import { respondWith, aReceiver } from "../notify/receiver.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";
import { openTestCli, type TestCli } from "../support/typed.ts";
import { About, parseCases, Text } from "./cases.ts";
import file from "./webhook-urls.json" with { type: "json" };

const Kind = z.enum(["spelling", "address", "name", "rebinding", "redirect"]);
const Case = z.strictObject({
  ...About,
  kind: Kind,
  url: Text,
  answers: z.array(z.array(z.string())).optional(),
  status: z.int().optional(),
  location: z.string().optional(),
});
const cases = parseCases(Case, file);
const of = (...kinds: readonly z.output<typeof Kind>[]) => cases.filter(({ kind }) => kinds.includes(kind));

const secret = "a-shared-secret-of-enough-length";
const never = new AbortController().signal;
const PUBLIC = [["93.184.216.34"]];

/** Listeners on this machine that must not be reached, on one port in both families. */
let callers = 0;
const inside = ["127.0.0.1", "::1"].map((host) => ({
  host,
  server: createServer((socket) => {
    callers += 1;
    socket.destroy();
  }),
}));
let port = 0;
let fleet: TestFleet;
let typed: TestCli;
const folder = mkdtempSync(join(tmpdir(), "fleet-urls-"));
beforeAll(async () => {
  port = await findFreePort();
  for (const { host, server } of inside) await once(server.listen(port, host), "listening");
  fleet = await testFleet();
  typed = await openTestCli(fleet);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  for (const { server } of inside) server.close();
  await typed[Symbol.asyncDispose]();
  await fleet[Symbol.asyncDispose]();
});

const fill = (text: string, more: Readonly<Record<string, number>> = {}) =>
  Object.entries({ port, inside: port, ...more }).reduce(
    (done, [name, value]) => done.replaceAll(`{${name}}`, String(value)),
    text,
  );

/** A name server that returns these addresses, one per query, and then the last one forever. */
function nameServer(answers: readonly (readonly string[])[]) {
  let queries = 0;
  const resolve = () => {
    const addresses = answers[Math.min(queries, answers.length - 1)] ?? [];
    queries += 1;
    return Promise.resolve(addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })));
  };
  return { resolve, asked: () => queries };
}

/** Stored as an operator's own setting, without its validation, together with a notification. */
async function aNotification(by: Operator, url: string, key: string): Promise<NotifyJob> {
  const owner = { tenantId: by.tenantId, operatorId: by.id };
  await fleet.fleet.store.asSystem(async (tx) => {
    const value = { url: url.toWellFormed(), secret };
    await upsertConfig(tx, owner, { key: "notify.webhook", value, by: by.id });
    const message = { key, type: "drift_found", summary: "Drift found", facts: {}, channels: ["webhook"] };
    await insertNotifications(tx, owner, message);
  });
  const [row] = await fleet.query("select id from fleet_notifications where operator_id = $1", [by.id]);
  return { notificationId: String(row?.["id"]), epoch: 1 };
}

const channel = (options: GuardOptions) => webhookChannel({ clock: () => new Date(), timeoutMs: 100, ...options });

describe("fleet.yaml with it is refused, and the error names the field:", () => {
  test.each(of("spelling"))("$name", async ({ url }) => {
    const path = join(folder, "fleet.yaml");
    writeFileSync(path, JSON.stringify({ notify: { channels: ["webhook"], webhook: { url: fill(url), secret } } }));

    const refusal = loadSettings(path, folder);

    await expect(refusal).rejects.toMatchObject({ code: "invalid-input" });
    await expect(refusal).rejects.toThrow("notify.webhook.url");
    await expect(refusal).rejects.not.toThrow(secret);
  });
});

describe("as an operator's own setting it is refused by its field, and is not stored:", () => {
  test.each(of("spelling"))("$name", async ({ url }) => {
    const put = await fetch(new URL("/api/fleet/config/notify.webhook.url", typed.url), {
      method: "PUT",
      headers: { authorization: `Bearer ${typed.token}`, "content-type": "application/json" },
      body: JSON.stringify({ value: fill(url) }),
    });
    const said = await put.text();
    const { exit, out, err } = await typed.fleet("config", "set", "notify.webhook.url", "--", fill(url));

    expect([put.status, said]).toEqual([expect.toBeOneOf([400, 422]), expect.stringContaining("notify.webhook.url")]);
    expect([exit, out, err]).toEqual([2, "", expect.stringContaining("notify.webhook.url")]);
    expect(await fleet.query("select key from fleet_config where operator_id = $1", [typed.by.id])).toEqual([]);
  });
});

describe("the real sender refuses it permanently, regardless of who stored it:", () => {
  test.each(of("spelling", "address", "name"))("$name", async ({ name, url, answers = PUBLIC }) => {
    const dns = nameServer(answers);
    const channels = openChannels({
      write: () => {},
      http: { clock: () => new Date(), resolve: dns.resolve },
      environment: {},
    });
    const by = await fleet.operator();
    const job = await aNotification(by, fill(url), name);

    await deliverNotification({ ...fleet.fleet, channels }, job, never);

    const notified = await fleet.query(
      "select channel, status, tries from fleet_notifications where operator_id = $1 order by channel",
      [by.id],
    );
    expect(notified).toEqual([
      { channel: "terminal", status: "pending", tries: 0 },
      { channel: "webhook", status: "failed", tries: 1 },
    ]);
    expect(callers).toBe(0);
  });
});

describe("a name whose address changes is resolved once, and the checked address is used:", () => {
  test.each(of("rebinding"))("$name", async ({ url, answers = PUBLIC }) => {
    const dns = nameServer(answers);

    const trusting = { allowHttp: true, allowPrivate: true, resolve: dns.resolve };

    const outcome = await channel(trusting).deliver(aMessage(), { url: fill(url), secret }, never);

    // Nothing listens on that address, which is allowed; the listener on the other address was not tried instead.
    expect(outcome.kind).toBe("retryable");
    expect(dns.asked()).toBe(1);
    expect(callers).toBe(0);
  });
});

describe("a redirect of a receiver is not followed:", () => {
  test.each(of("redirect"))("$name", async ({ url, status = 302, location = "" }) => {
    await using receiver = await aReceiver(respondWith(status, { location: fill(location) }));
    const trusting = { allowHttp: true, allowPrivate: true, resolve: nameServer([["127.0.0.1"]]).resolve };

    const outcome = await channel(trusting).deliver(
      aMessage(),
      { url: fill(url, { port: receiver.port }), secret },
      never,
    );

    expect(outcome).toMatchObject({ kind: "permanent" });
    expect(receiver.received).toHaveLength(1);
    expect(callers).toBe(0);
  });
});
