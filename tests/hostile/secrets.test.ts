/**
 * Secrets in every form, printed by real agents and checks: none is stored or displayed; text without a secret is.
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { z } from "zod";
import { environmentSecrets } from "../../src/agents/secrets.ts";
import { followTaskLog, readTaskLog } from "../../src/conductor/tasks/logs.ts";
import type { Operator } from "../../src/domain/operator.ts";
import type { Task } from "../../src/domain/task/task.ts";
import { openChannels } from "../../src/notify/channels.ts";
import { startWeb, type RunningWeb } from "../../src/processes/web.ts";
import { upsertConfig } from "../../src/store/config.ts";
import { respondWith, aReceiver, type Receiver } from "../notify/receiver.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";
import { openTestCli, type TestCli } from "../support/typed.ts";
import { About } from "./cases.ts";
import file from "./secrets.json" with { type: "json" };

const Secret = z.strictObject({
  ...About,
  text: z.array(z.string()).transform((parts) => parts.join("")),
  gone: z.array(z.string().min(1)),
  values: z.array(z.string()).optional(),
  whole: z.boolean().optional(),
});
const { secrets, survivors } = z
  .looseObject({ secrets: z.array(Secret).min(30), survivors: z.array(z.strictObject({ ...About, text: z.string() })) })
  .parse(file);
const HANDED_OUT = [...new Set(secrets.flatMap(({ values = [] }) => values))];
/** What must be found nowhere, except for digits that also occur in text without a secret. */
const GONE = [...new Set(secrets.flatMap(({ gone }) => gone)), ...HANDED_OUT].filter(
  (part) => !survivors.some(({ text }) => text.includes(part)),
);
/** A private key without its end hides everything after it, so its case is printed last. */
const unended = secrets.filter(({ name }) => name.includes("without its end"));
const ended = secrets.filter((secret) => !unended.includes(secret));

function leaksIn(text: string): string[] {
  return GONE.filter((part) => text.includes(part));
}

let fleet: TestFleet;
let typed: TestCli;
let receiver: Receiver;
let web: RunningWeb;
let by: Operator;
let failed: Task;
let reviewed: Task;
const token = { text: "" };

beforeAll(async () => {
  receiver = await aReceiver(respondWith(204));
  const outputs: string[] = [];
  const channels = openChannels({
    write: (line) => outputs.push(line),
    http: { clock: () => new Date(), allowPrivate: true, allowHttp: true },
    environment: {},
  });
  const environment = Object.fromEntries(HANDED_OUT.map((value, at) => [`HANDED_OUT_${at}`, value]));
  const provider = environmentSecrets({ environment, commandVariables: Object.keys(environment) });
  fleet = await testFleet({ parts: { channels, secrets: provider } });
  fleet.lines.push(...outputs);
  typed = await openTestCli(fleet);
  by = typed.by;
  web = await startWeb({ ...fleet.open, fleet: fleet.fleet }, fleet.config, { relays: false });
  token.text = await web.issueFor(by, 600_000);
  await fleet.fleet.store.as(by, async (tx) => {
    const owner = { tenantId: by.tenantId, operatorId: by.id };
    const webhook = { url: receiver.url, secret: "a-shared-secret-of-enough-length" };
    await upsertConfig(tx, owner, { key: "notify.channels", value: ["terminal", "webhook"], by: by.id });
    await upsertConfig(tx, owner, { key: "notify.webhook", value: webhook, by: by.id });
  });
  failed = await runAgent("exit 3");
  reviewed = await runAgent(
    `mkdir -p checks && cp "$SAID" checks/said.txt && printf 'cat checks/said.txt\\nexit 1\\n' > checks/x.sh
     git add -A && git commit -q -F "$SAID" && git push -q origin HEAD
     printf 'FLEET-DONE: '; head -n 1 "$SAID"`,
  );
}, 60_000);
afterAll(async () => {
  await web.close();
  await typed[Symbol.asyncDispose]();
  await fleet[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

/**
 * An agent that prints every case and then runs this; it is tried twice, so that the second prompt describes the
 * first attempt.
 */
async function runAgent(then: string): Promise<Task> {
  const folder = join(fleet.home, "said");
  mkdirSync(folder, { recursive: true });
  const said = join(folder, "said.txt");
  const texts = [...survivors, ...ended, ...unended].map(({ text }) => text);
  writeFileSync(said, `${texts.join("\n")}\n`);
  const script = join(folder, "agent.sh");
  writeFileSync(script, `#!/bin/sh\nSAID=${said}\ncat "$SAID"\n${then}\n`);
  chmodSync(script, 0o755);
  const repository = await fleet.aRepository();
  const task = await fleet.spawn(by, { repository, agentType: "command", command: [script], maxRetries: 1 });
  return fleet.runUntil(task.id, "abandoned");
}

describe("an agent printed it, and the displayed log does not contain it:", () => {
  test("one at a time, each on its own lines", async () => {
    const { lines } = await readTaskLog(fleet.fleet, failed, { lines: 1_000 });

    expect(leaksIn(lines.join("\n"))).toEqual([]);
    expect(lines.filter((line) => line.includes("[redacted:")).length).toBeGreaterThanOrEqual(60);
  });

  test.each(survivors)("text without a secret is displayed: $name", async ({ text }) => {
    const { lines } = await readTaskLog(fleet.fleet, failed, { lines: 1_000 });

    expect(lines.join("\n")).toContain(text);
  });
});

test("a key that is printed in two pieces is masked for a follower", async () => {
  const key = secrets.find(({ name }) => name === "PEM private key");
  const lines = (key?.text ?? "").split("\n");
  const half = Math.floor(lines.length / 2);
  const script = join(fleet.home, "said", "halves.sh");
  const [first, second] = [lines.slice(0, half), lines.slice(half)].map(
    (some) => `cat <<'END'\n${some.join("\n")}\nEND\n`,
  );
  writeFileSync(script, `#!/bin/sh\n${first}sleep 0.8\n${second}exit 3\n`);
  chmodSync(script, 0o755);
  const command = [script];
  const repository = await fleet.aRepository();
  const { id } = await fleet.spawn(by, { repository, agentType: "command", command, maxRetries: 0 });
  const running = await fleet.runUntil(id, ["running", "failed", "abandoned"]);
  const heard: string[] = [];

  const following = (async () => {
    for await (const { text } of followTaskLog(fleet.fleet, running, { lines: 100 }, new AbortController().signal)) {
      heard.push(text);
    }
  })();
  await fleet.runUntil(id, "abandoned");
  await following;

  expect(lines.length).toBeGreaterThan(2);
  expect(heard.join("\n")).toContain("[redacted:private-key]");
  expect(leaksIn(heard.join("\n"))).toEqual([]);
});

test("a tail that begins within a key shows no part of it", async () => {
  const key = secrets.find(({ name }) => name === "PEM private key")?.text ?? "";
  const script = join(fleet.home, "said", "key.sh");
  writeFileSync(script, `#!/bin/sh\ncat <<'END'\n${"x\n".repeat(30)}${key}\n${"a line\n".repeat(5)}END\nexit 3\n`);
  chmodSync(script, 0o755);
  const repository = await fleet.aRepository();
  const { id } = await fleet.spawn(by, { repository, agentType: "command", command: [script], maxRetries: 0 });
  const task = await fleet.runUntil(id, "abandoned");

  for (let lines = 1; lines < 40; lines += 1) {
    const tail = await readTaskLog(fleet.fleet, task, { lines });
    expect(leaksIn(tail.lines.join("\n"))).toEqual([]);
  }
});

test("no column of PostgreSQL contains it", async () => {
  const columns = await fleet.query(
    `select c.table_name as t, c.column_name as c from information_schema.columns c
     join information_schema.tables t using (table_schema, table_name)
     where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.data_type in ('text', 'jsonb', 'json', 'ARRAY', 'bytea')`,
  );
  const found: string[] = [];
  for (const { t, c } of columns) {
    // The receiver's own secret is a setting of the test, sealed or not.
    if (t === "fleet_config" || t === "signing_keys") continue;
    const as = `case when pg_typeof(${String(c)})::text = 'bytea' then encode(${String(c)}::text::bytea, 'escape') else ${String(c)}::text end`;
    const rows = await fleet.query(`select ${as} as text from ${String(t)} where ${String(c)} is not null`);
    for (const { text } of rows)
      for (const leak of leaksIn(String(text)))
        found.push(
          `${String(t)}.${String(c)}: …${String(text).slice(Math.max(0, String(text).indexOf(leak) - 60), String(text).indexOf(leak) + 90)}`,
        );
  }
  expect(columns.length).toBeGreaterThan(100);
  expect([...new Set(found)]).toEqual([]);
});

test("no key of Redis contains it", async () => {
  const redis = new Redis(inject("redisUrl"));
  const found: string[] = [];
  for (const key of await redis.keys(`*${fleet.config.FLEET_QUEUE_PREFIX}*`)) {
    found.push(...leaksIn(((await redis.dumpBuffer(key)) ?? Buffer.alloc(0)).toString("latin1")));
  }
  await redis.quit();
  expect(found).toEqual([]);
});

test("no response of the API and no output of the CLI contains it", async () => {
  const paths = [failed, reviewed].flatMap(({ id }) => [
    `/tasks/${id}`,
    `/tasks/${id}/story`,
    `/tasks/${id}/logs?lines=1000`,
  ]);
  const found: string[] = [];
  for (const path of [
    ...paths,
    "/tasks",
    "/ps?all=true",
    "/status",
    "/events/recent?limit=1000",
    "/tasks?text=ghp_nothing",
  ]) {
    const response = await fetch(new URL(`/api/fleet${path}`, web.url), {
      headers: { authorization: `Bearer ${token.text}` },
    });
    expect([path, response.status]).toEqual([path, 200]);
    const text = await response.text();
    for (const leak of leaksIn(text))
      found.push(`${path}: …${text.slice(Math.max(0, text.indexOf(leak) - 60), text.indexOf(leak) + 90)}`);
  }
  for (const words of [
    ["show", failed.id],
    ["show", reviewed.id, "--json"],
    ["logs", reviewed.id],
    ["ps", "--all"],
    ["events"],
  ]) {
    const { out, err } = await typed.fleet(...words);
    for (const leak of leaksIn(`${out}${err}`)) found.push(`${words.join(" ")}: ${leak}`);
  }
  expect([...new Set(found)]).toEqual([]);
});

test("no notification contains it, on the terminal or to a webhook", async () => {
  await fleet.processHints();
  const bodies = receiver.received.map(({ body }) => body);

  expect(bodies.length).toBeGreaterThan(0);
  expect(leaksIn([...bodies, ...fleet.lines].join("\n"))).toEqual([]);
});

test("no log line contains it", () => {
  expect(leaksIn(JSON.stringify(fleet.logged))).toEqual([]);
});

test("no failure record contains it, and the record still names what failed", async () => {
  for (const { id } of [failed, reviewed]) {
    const rows = await fleet.query("select failure_context from attempts where task_id = $1", [id]);
    expect(JSON.stringify(rows)).toContain("[redacted:");
  }
});
