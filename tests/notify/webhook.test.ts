/** The webhook channel against real servers: what is delivered, what may be retried, and what never is. */
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { HttpOptions } from "../../src/notify/post.ts";
import { webhookChannel } from "../../src/notify/webhook.ts";
import { aMessage } from "./message.ts";
import { respondWith, aReceiver } from "./receiver.ts";

const secret = "a-shared-secret-of-enough-length";
const now = new Date("2026-01-02T03:04:05Z");
const never = new AbortController().signal;

function pem(name: string): string {
  return readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url), "utf8");
}

/** A name server for which every name is this machine. */
const toLoopback = () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]);

function channel(options: Partial<HttpOptions> = {}) {
  return webhookChannel({ clock: () => now, allowPrivate: true, allowHttp: true, ...options });
}

test("the receiver gets the notification as JSON, and can verify who sent it and when", async () => {
  await using receiver = await aReceiver(respondWith(204));
  const message = aMessage();

  const outcome = await channel().deliver(message, { url: receiver.url, secret }, never);

  expect(outcome).toEqual({ kind: "delivered" });
  const [request] = receiver.received;
  const { headers = {}, body = "" } = request ?? {};
  expect(JSON.parse(body)).toEqual({ id: message.id, at: message.at.toISOString(), ...message.notification });
  expect(headers["content-type"]).toBe("application/json");
  expect(headers["fleet-webhook-id"]).toBe(message.id);
  expect(headers["fleet-webhook-timestamp"]).toBe(String(now.getTime() / 1_000));
  const expected = createHmac("sha256", secret)
    .update(`${String(headers["fleet-webhook-timestamp"])}.${body}`)
    .digest("hex");
  expect(headers["fleet-webhook-signature"]).toBe(`v1=${expected}`);
});

test("a repeat carries the same id and body", async () => {
  await using receiver = await aReceiver(respondWith(200));

  await channel().deliver(aMessage(), { url: receiver.url, secret }, never);
  await channel().deliver(aMessage(), { url: receiver.url, secret }, never);

  const [first, second] = receiver.received;
  expect(second?.headers["fleet-webhook-id"]).toBe(first?.headers["fleet-webhook-id"]);
  expect(second?.body).toBe(first?.body);
});

describe("a response of", () => {
  test.each([
    [200, {}, { kind: "delivered" }],
    [201, {}, { kind: "delivered" }],
    [
      301,
      { location: "http://127.0.0.1:1/" },
      { kind: "permanent", reason: "the receiver redirects (301), which is not followed" },
    ],
    [
      308,
      { location: "/elsewhere" },
      { kind: "permanent", reason: "the receiver redirects (308), which is not followed" },
    ],
    [400, {}, { kind: "permanent", reason: "the receiver refuses it (400)" }],
    [404, {}, { kind: "permanent", reason: "the receiver refuses it (404)" }],
    [410, {}, { kind: "permanent", reason: "the receiver refuses it (410)" }],
    [408, {}, { kind: "retryable", reason: "the receiver answers 408" }],
    [429, { "retry-after": "7" }, { kind: "retryable", reason: "the receiver answers 429", retryAfterMs: 7_000 }],
    [
      429,
      { "retry-after": "Fri, 02 Jan 2026 03:05:05 GMT" },
      { kind: "retryable", reason: "the receiver answers 429", retryAfterMs: 60_000 },
    ],
    [500, {}, { kind: "retryable", reason: "the receiver answers 500" }],
    [503, { "retry-after": "nonsense" }, { kind: "retryable", reason: "the receiver answers 503" }],
  ] as const)("%i with %j", async (status, headers, outcome) => {
    await using receiver = await aReceiver(respondWith(status, headers));

    expect(await channel().deliver(aMessage(), { url: receiver.url, secret }, never)).toEqual(outcome);
    expect(receiver.received).toHaveLength(1);
  });
});

test("a connection that is reset, refused or never answered may be retried", async () => {
  await using resetting = await aReceiver((response) => response.socket?.resetAndDestroy());
  await using silent = await aReceiver(() => undefined);
  await using trickling = await aReceiver((response) => {
    response.writeHead(200).write("a");
  });
  const hasty = channel({ timeoutMs: 300 });

  for (const url of [resetting.url, silent.url, trickling.url, "http://127.0.0.1:1/"]) {
    expect(await hasty.deliver(aMessage(), { url, secret }, never), url).toMatchObject({ kind: "retryable" });
  }
});

test("the wait for a name that never resolves is bounded, too", async () => {
  const stuck = channel({ timeoutMs: 200, resolve: () => new Promise(() => undefined) });

  expect(await stuck.deliver(aMessage(), { url: "https://example.com/", secret }, never)).toMatchObject({
    kind: "retryable",
  });
});

test("of a huge response no more than 64 KB is read", async () => {
  let sent = 0;
  await using receiver = await aReceiver((response) => {
    response.writeHead(200);
    const more = (): void => {
      if (response.destroyed || sent > 200_000_000) return;
      sent += 65_536;
      if (response.write(Buffer.alloc(65_536))) setImmediate(more);
      else response.once("drain", more);
    };
    more();
  });

  expect(await channel().deliver(aMessage(), { url: receiver.url, secret }, never)).toEqual({ kind: "delivered" });
  expect(sent).toBeLessThan(50_000_000);
});

test("an abort takes effect at once", async () => {
  await using silent = await aReceiver(() => undefined);
  const stop = new AbortController();

  const delivering = channel().deliver(aMessage(), { url: silent.url, secret }, stop.signal);
  stop.abort(new Error("shutting down"));

  expect(await delivering).toMatchObject({ kind: "retryable" });
});

test("the socket connects to the address that was checked, whatever the name resolves to by then", async () => {
  await using receiver = await aReceiver(respondWith(200));
  let lookups = 0;
  const resolve = (): Promise<{ address: string; family: number }[]> => {
    lookups += 1;
    return Promise.resolve([{ address: "127.0.0.1", family: 4 }]);
  };

  const url = `http://hooks.example.com:${receiver.port}/hook`;
  const outcome = await channel({ resolve }).deliver(aMessage(), { url, secret }, never);

  expect(outcome).toEqual({ kind: "delivered" });
  expect(lookups).toBe(1);
  expect(receiver.received[0]?.headers.host).toBe(`hooks.example.com:${receiver.port}`);
});

test("a name with a private address is refused permanently, and nothing is sent", async () => {
  await using receiver = await aReceiver(respondWith(200));

  const url = `http://hooks.example.com:${receiver.port}/hook`;
  const outcome = await channel({ allowPrivate: false, resolve: toLoopback }).deliver(
    aMessage(),
    { url, secret },
    never,
  );

  expect(outcome).toMatchObject({ kind: "permanent" });
  expect(receiver.received).toEqual([]);
});

test("an untrusted certificate is refused permanently; a trusted one works", async () => {
  const tls = { key: pem("key"), cert: pem("cert") };
  await using receiver = await aReceiver(respondWith(200), tls);
  const to = (host: string) => ({ url: `https://${host}:${receiver.port}/hook`, secret });

  const strange = await channel({ resolve: toLoopback }).deliver(aMessage(), to("hooks.example.com"), never);
  const trusting = channel({ resolve: toLoopback, ca: tls.cert });
  const trusted = await trusting.deliver(aMessage(), to("hooks.example.com"), never);
  const otherName = await trusting.deliver(aMessage(), to("other.example.com"), never);

  expect(strange).toMatchObject({ kind: "permanent" });
  expect(trusted).toEqual({ kind: "delivered" });
  expect(otherName).toMatchObject({ kind: "permanent" });
});

test("settings that are not a webhook's are refused permanently", async () => {
  for (const target of [
    undefined,
    {},
    { url: "https://example.com" },
    { url: "https://example.com", secret: "short" },
    "https://example.com",
  ]) {
    expect(await channel().deliver(aMessage(), target, never)).toMatchObject({ kind: "permanent" });
  }
});
