/** Notifications: the row exists before any try, each channel is independent, and a burst becomes one summary. */
import { expect, test } from "vitest";
import { stopTask } from "../../../src/conductor/tasks/stop.ts";
import { deliverNotification } from "../../../src/conductor/notify/deliver.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { openChannels } from "../../../src/notify/channels.ts";
import { signWebhook } from "../../../src/notify/webhook.ts";
import { upsertConfig } from "../../../src/store/config.ts";
import { testFleet, type TestFleet, type TestFleetOptions } from "../../support/fleet.ts";
import { aMailServer } from "../../notify/mail-server.ts";
import { respondWith, aReceiver } from "../../notify/receiver.ts";

const signal = new AbortController().signal;
const secret = "a-secret-of-the-tests-1";

/** With channels that may reach this machine, and a separate terminal. */
async function talkingFleet(smtpUrl?: string, options: TestFleetOptions = {}) {
  const lines: string[] = [];
  const channels = openChannels({
    write: (line) => lines.push(line),
    http: { clock: () => new Date(), allowPrivate: true, allowHttp: true },
    environment: { FLEET_SMTP_URL: smtpUrl, FLEET_SMTP_FROM: "fleet@fleet.example.com" },
  });
  const fleet = await testFleet({ ...options, parts: { channels, random: () => 0, ...options.parts } });
  return Object.assign(fleet, { lines });
}

async function prefers({ fleet }: TestFleet, by: Operator, config: Readonly<Record<string, unknown>>) {
  const owner = { tenantId: by.tenantId, operatorId: by.id };
  await fleet.store.as(by, async (tx) => {
    for (const [key, value] of Object.entries(config)) await upsertConfig(tx, owner, { key, value, by: by.id });
  });
}

/** A task that was stopped before it started: one notification per channel. */
async function stopOne(fleet: TestFleet, by: Operator, repository: string) {
  const task = await fleet.spawn(by, { repository });
  await stopTask(fleet.fleet, by, task, "enough");
  return task;
}

const rows = (fleet: TestFleet) =>
  fleet.query("select channel, status, tries from fleet_notifications order by created_at, channel");

const due = (fleet: TestFleet) => fleet.query("update fleet_notifications set due_at = now() where status = 'pending'");

test("one notification goes to the terminal, a webhook and by e-mail, each once", async () => {
  await using receiver = await aReceiver(respondWith(204));
  await using mail = await aMailServer();
  await using fleet = await talkingFleet(mail.smtpUrl);
  const by = await fleet.operator();
  await prefers(fleet, by, {
    "notify.channels": ["terminal", "webhook", "email"],
    "notify.webhook": { url: receiver.url, secret },
    "notify.email": { to: "ada@example.com" },
  });

  const task = await stopOne(fleet, by, await fleet.aRepository());
  // Before any try: the rows were written by the transaction that stopped it.
  expect((await rows(fleet)).map(({ status, tries }) => [status, tries])).toEqual([1, 2, 3].map(() => ["pending", 0]));
  await fleet.processHints();

  expect((await rows(fleet)).map(({ status, tries }) => [status, tries])).toEqual(
    [1, 2, 3].map(() => ["delivered", 1]),
  );
  expect(fleet.lines).toHaveLength(1);
  expect(mail.mails).toHaveLength(1);
  expect(mail.mails[0]).toContain("To: ada@example.com");
  const [hook] = receiver.received;
  const { body = "", headers } = hook ?? {};
  expect(receiver.received).toHaveLength(1);
  expect(JSON.parse(body)).toMatchObject({ type: "cancelled", taskId: task.id });
  const timestamp = String(headers?.["fleet-webhook-timestamp"]);
  expect(headers?.["fleet-webhook-signature"]).toBe(signWebhook(secret, timestamp, body));
});

test("an unavailable receiver is retried under a new epoch, while the terminal is not delayed", async () => {
  const answers = [503, 503, 204];
  await using receiver = await aReceiver((response) => response.writeHead(answers.shift() ?? 500).end());
  await using fleet = await talkingFleet();
  const by = await fleet.operator();
  await prefers(fleet, by, {
    "notify.channels": ["terminal", "webhook"],
    "notify.webhook": { url: receiver.url, secret },
  });

  await stopOne(fleet, by, await fleet.aRepository());
  await fleet.processHints();
  expect(await rows(fleet)).toContainEqual({ channel: "terminal", status: "delivered", tries: 1 });
  for (let tries = 0; tries < 3; tries += 1) {
    await due(fleet);
    await fleet.processHints();
  }

  expect(await rows(fleet)).toContainEqual({ channel: "webhook", status: "delivered", tries: 3 });
  const ids = receiver.received.map(({ headers }) => headers["fleet-webhook-id"]);
  expect(ids).toHaveLength(3);
  expect(new Set(ids).size).toBe(1);
});

test.each([
  ["refuses it for good", 404, 1],
  ["stays away", 500, 6],
])("when a receiver %s, the notification is shown on the terminal with the reason", async (_what, status, tries) => {
  await using receiver = await aReceiver(respondWith(status));
  await using fleet = await talkingFleet();
  const by = await fleet.operator();
  await prefers(fleet, by, { "notify.channels": ["webhook"], "notify.webhook": { url: receiver.url, secret } });

  await stopOne(fleet, by, await fleet.aRepository());
  for (let round = 0; round <= tries; round += 1) {
    await due(fleet);
    await fleet.processHints();
  }

  expect(await rows(fleet)).toEqual([
    { channel: "webhook", status: "failed", tries },
    { channel: "terminal", status: "delivered", tries: 1 },
  ]);
  expect(receiver.received).toHaveLength(tries);
  expect(fleet.lines).toHaveLength(1);
  expect(fleet.lines[0]).toContain(`webhook failed`);
  expect(fleet.lines[0]).toContain(String(status));
});

test("of many in one minute twenty are delivered, and the rest becomes one summary", async () => {
  const timeShift = { ms: 0 };
  await using fleet = await talkingFleet(undefined, {
    parts: { clock: () => new Date(Date.now() + timeShift.ms) },
  });
  const by = await fleet.operator();
  const repository = await fleet.aRepository();

  for (let at = 0; at < 27; at += 1) await stopOne(fleet, by, repository);
  while ((await fleet.processHints()) > 0 && fleet.lines.length < 20);
  expect(fleet.lines).toHaveLength(20);

  // A minute later the first one that is due stands for all.
  await fleet.query("update fleet_notifications set delivered_at = delivered_at - interval '61 s', due_at = now()");
  timeShift.ms = 61_000;
  while ((await fleet.processHints()) > 0);

  expect(fleet.lines).toHaveLength(21);
  expect(fleet.lines[20]).toContain("7 notifications in a short time: 7 cancelled");
  const counts = await fleet.query(
    "select status, count(*)::int as n from fleet_notifications group by status order by status",
  );
  expect(counts).toEqual([
    { status: "delivered", n: 21 },
    { status: "merged", n: 6 },
  ]);
});

test("a burst of one operator does not delay another's", async () => {
  await using fleet = await talkingFleet();
  const [ada, bob] = [await fleet.operator(), await fleet.operator()];
  const repository = await fleet.aRepository();

  for (let at = 0; at < 21; at += 1) await stopOne(fleet, ada, repository);
  const bobs = await stopOne(fleet, bob, repository);
  await fleet.processHints();

  expect(fleet.lines).toHaveLength(21);
  expect(fleet.lines.filter((line) => line.includes(bobs.id.slice(-8)))).toHaveLength(1);
});

test("a delivery whose worker died is found by the reconciler and sent once more, and not by a second job meanwhile", async () => {
  await using fleet = await talkingFleet();
  const by = await fleet.operator();
  await stopOne(fleet, by, await fleet.aRepository());
  const [row] = await fleet.query(
    "update fleet_notifications set tries = 1, due_at = now() + interval '30 s' returning id",
  );
  const job = { notificationId: String(row?.["id"]), epoch: 1 };

  expect(await deliverNotification(fleet.fleet, job, signal)).toBe(false);
  expect(fleet.lines).toEqual([]);
  await due(fleet);
  expect(await deliverNotification(fleet.fleet, job, signal)).toBe(true);

  expect(fleet.lines).toHaveLength(1);
});
