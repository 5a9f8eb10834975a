/**
 * `fleet notify test` over a real server: whom a test message reaches, and what is reported when it reaches no one.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../../../src/cli/main.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { openChannels } from "../../../src/notify/channels.ts";
import { startWeb, type RunningWeb } from "../../../src/processes/web.ts";
import { upsertConfig } from "../../../src/store/config.ts";
import { aReceiver, respondWith, type Receiver } from "../../notify/receiver.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

let world: TestFleet;
let web: RunningWeb;
let well: Receiver;
let ill: Receiver;
const printed: string[] = [];

beforeAll(async () => {
  [well, ill] = [await aReceiver(respondWith(204)), await aReceiver(respondWith(410))];
  const channels = openChannels({
    write: (line) => printed.push(line),
    http: { clock: () => new Date(), allowPrivate: true, allowHttp: true },
    environment: {},
  });
  world = await testFleet({ parts: { channels, random: () => 0 } });
  web = await startWeb({ ...world.open, fleet: world.fleet }, world.config, { relays: false });
});
afterAll(async () => {
  await web.close();
  await world[Symbol.asyncDispose]();
  await well[Symbol.asyncDispose]();
  await ill[Symbol.asyncDispose]();
});

/** Runs `fleet notify test …` while a worker processes the queues. */
async function notifyTest(by: Operator, ...words: string[]) {
  let out = "";
  const typing = { over: false };
  const typed = main(["notify", "test", ...words], {
    env: { FLEET_URL: web.url, FLEET_TOKEN: await web.issueFor(by, 60_000) },
    cwd: "/",
    stdout: { write: (text) => void (out += text) },
    stderr: { write: () => undefined },
    signal: new AbortController().signal,
    clock: () => new Date(),
    random: () => 0.5,
  }).finally(() => {
    typing.over = true;
  });
  while (!typing.over) await world.processHints();
  return { exit: await typed, out };
}

async function whoPrefers(config: Readonly<Record<string, unknown>>): Promise<Operator> {
  const by = await world.operator();
  const owner = { tenantId: by.tenantId, operatorId: by.id };
  await world.fleet.store.as(by, async (tx) => {
    for (const [key, value] of Object.entries(config)) await upsertConfig(tx, owner, { key, value, by: by.id });
  });
  return by;
}

const hook = (url: string) => ({ url, secret: "a-secret-of-the-tests-1" });

test("a test message goes to every configured channel through the queue, and the result of each is reported", async () => {
  const by = await whoPrefers({ "notify.channels": ["terminal", "webhook"], "notify.webhook": hook(well.url) });

  expect(await notifyTest(by)).toEqual({ exit: 0, out: "✔ terminal  delivered\n✔ webhook  delivered\n" });

  expect(JSON.parse(well.received[0]?.body ?? "")).toMatchObject({
    type: "test",
    taskId: null,
    summary: `Test message: asked by ${by.id}`,
    command: "fleet notify test",
  });
  expect(printed.join("\n")).toContain(`asked by ${by.id}`);
  const acts = await world.query("select action, detail from audit_log where operator_id = $1", [by.id]);
  expect(acts).toContainEqual({ action: "notify.tested", detail: { channels: ["terminal", "webhook"] } });
});

test("a receiver that refuses is reported with the reason and exit code 1", async () => {
  const by = await whoPrefers({ "notify.channels": ["webhook"], "notify.webhook": hook(ill.url) });

  const { exit, out } = await notifyTest(by, "--json");

  expect(exit).toBe(1);
  expect(JSON.parse(out)).toEqual({
    chosenBy: "operator",
    deliveries: [
      {
        id: expect.any(String),
        channel: "webhook",
        status: "failed",
        tries: 1,
        error: expect.any(String),
        leads: true,
      },
    ],
  });
  expect(out).toContain("410");
});

test("a channel without a target names the command that sets it", async () => {
  const by = await whoPrefers({ "notify.channels": ["email", "webhook"] });

  const { exit, out } = await notifyTest(by);

  expect(exit).toBe(1);
  expect(out).toContain("✖ email  not delivered");
  expect(out).toContain("fleet config set notify.email.to");
  expect(out).toContain("fleet config set notify.webhook.url");
});

test("an operator without a channel gets an error that names the command to set one", async () => {
  const { exit, out } = await notifyTest(await world.operator());

  expect(exit).toBe(0);
  expect(out).toMatch(/^✔ terminal {2}delivered\nNo channel is set: .* fleet config set notify\.channels webhook\n$/);
});

test("without waiting the command lists what was queued; an observer may not send a test message", async () => {
  const by = await world.operator();
  expect(await notifyTest(by, "--no-wait")).toMatchObject({
    exit: 0,
    out: expect.stringContaining("○ terminal  on its way"),
  });
  expect((await notifyTest(await world.operator({ tier: "observer" }))).exit).toBe(3);
});
