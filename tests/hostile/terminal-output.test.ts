/**
 * Hostile output of real agents, as it is displayed: by every CLI command, piped and on a terminal; and raw, without
 * the API's filtering.
 */
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { main } from "../../src/cli/main.ts";
import type { Operator } from "../../src/domain/operator.ts";
import type { Task } from "../../src/domain/task/task.ts";
import { startWeb, type RunningWeb } from "../../src/processes/web.ts";
import { findFreePort } from "../../src/store/embedded/postgres-server.ts";
import { builtProgram } from "../support/built.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";
import { aProduct, requestOrders, carryOut, runsOfOrder } from "../support/orders.ts";
import { About, parseCases } from "./cases.ts";
import file from "./terminal-output.json" with { type: "json" };

const cases = parseCases(z.strictObject({ ...About, text: z.string(), plain: z.string() }), file);
/** By Unicode category, written independently of the code under test. Emoji styles control nothing. */
const STEERS = /(?![\ufe0e\ufe0f])[\p{Cc}\p{Cs}\p{Cf}\p{Mn}\u2028\u2029\u115f\u1160\u3164\uffa0]/u;

const run = promisify(execFile);

let fleet: TestFleet;
let web: RunningWeb;
/** A proxy of the API that returns logs as agents wrote them. */
let careless: Server;
let carelessUrl: string;
let token: string;
let failed: Task;
let ready: Task;
let carriedOut: string;

beforeAll(async () => {
  fleet = await testFleet();
  web = await startWeb(fleet.open, fleet.config, { relays: false });
  const by = await fleet.operator();
  token = await web.issueFor(by, 600_000);
  const port = await findFreePort();
  carelessUrl = `http://127.0.0.1:${port}`;
  careless = createServer((request, response) => void answerRaw(request.url ?? "/").then((text) => response.end(text)));
  await new Promise<void>((resolve) => void careless.listen(port, "127.0.0.1", resolve));

  const folder = join(fleet.home, "said");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "all.txt"), `${cases.map(({ text }) => text).join("\n")}\n`);
  const oneLine = cases.map(({ text }) => text.replaceAll(/[\n\0]/g, " ")).join(" ");
  writeFileSync(join(folder, "subject.txt"), oneLine.slice(0, 2_000));
  const spawn = async (name: string, then: string) => {
    const script = join(folder, name);
    writeFileSync(script, `#!/bin/sh\ncat '${folder}/all.txt'\n${then}\n`);
    chmodSync(script, 0o755);
    const repository = await fleet.aRepository();
    return fleet.spawn(by, { repository, agentType: "command", command: [script], maxRetries: 0 });
  };
  const failing = await spawn("fail.sh", `cat '${folder}/subject.txt'; exit 3`);
  failed = await fleet.runUntil(failing.id, "abandoned");
  const working = await spawn(
    "work.sh",
    `printf x > "$(printf 'a\\033[31m\\342\\200\\256b')"; git add -A; git commit -q -F '${folder}/subject.txt'; git push -q origin HEAD
     printf 'FLEET-DONE: '; cat '${folder}/subject.txt'`,
  );
  ready = await fleet.runUntil(working.id, "ready");
  carriedOut = await anOrder(by, `cat '${folder}/all.txt' '${folder}/subject.txt'; exit 4`);
}, 60_000);
afterAll(async () => {
  careless.closeAllConnections();
  careless.close();
  await web.close();
  await fleet[Symbol.asyncDispose]();
});

/** The run of a work order whose command printed all of it. */
async function anOrder(by: Operator, command: string): Promise<string> {
  const { id } = await aProduct(fleet, by, { commands: { test: command } });
  const [order] = await requestOrders(fleet, by, { product_id: id, intent: "test" });
  if (!order) throw new Error("No order was made.");
  await carryOut(fleet, order);
  return (await runsOfOrder(fleet, order))[0]?.id ?? "none";
}

async function answerRaw(path: string): Promise<string> {
  const response = await fetch(new URL(path, web.url), { headers: { authorization: `Bearer ${token}` } });
  const body = await response.text();
  if (!path.includes("/logs")) return body;
  return JSON.stringify({ ...JSON.parse(body), lines: cases.map(({ text }) => text) });
}

async function type(words: readonly string[], { isTTY = false, url = web.url } = {}): Promise<string> {
  let out = "";
  const output = { write: (text: string) => void (out += text), isTTY, columns: isTTY ? 100 : undefined };
  const exit = await main(words, {
    env: { FLEET_URL: url, FLEET_TOKEN: token, NO_COLOR: "1" },
    cwd: fleet.home,
    stdout: output,
    stderr: output,
    signal: new AbortController().signal,
    clock: () => new Date(),
    random: () => 0.5,
  });
  expect([words, exit]).toEqual([words, 0]);
  return out;
}

const inLines = (text: string) => text.replaceAll(/[\n\t]/g, "");

const VERBS: Readonly<Record<string, (id: string) => readonly string[]>> = {
  logs: (id) => ["logs", id, "-n", "1000"],
  show: (id) => ["show", id],
  ps: () => ["ps", "--all"],
  events: () => ["events"],
};

describe.each([false, true])("no output of agents controls the terminal (on a terminal: %s), by", (isTTY) => {
  test.each(Object.entries(VERBS))("fleet %s", async (_, words) => {
    for (const { id } of [failed, ready]) {
      const plain = await type(words(id), { isTTY });
      const json = await type([...words(id), "--json"], { isTTY });

      expect(plain.length).toBeGreaterThan(0);
      expect(inLines(plain)).not.toMatch(STEERS);
      expect(inLines(json)).not.toMatch(STEERS);
    }
  });

  test.each([["runs"], ["orders"], ["run", "show"], ["run", "show", "--log"]])("fleet %s %s %s", async (...verb) => {
    const words = verb.includes("show") ? [...verb, carriedOut] : verb;
    const plain = await type(words, { isTTY });
    const json = await type([...words, "--json"], { isTTY });

    expect(plain + json).toContain("test");
    expect(plain.includes("\nred\ndonegone\nhello\n")).toBe(verb.includes("--log"));
    expect(inLines(plain)).not.toMatch(STEERS);
    expect(inLines(json)).not.toMatch(STEERS);
  });
});

describe("even with an API that filters nothing, control characters are escaped:", () => {
  test("piped and on a terminal, no character of it controls anything", async () => {
    for (const isTTY of [false, true]) {
      const shown = await type(["logs", failed.id], { isTTY, url: carelessUrl });

      expect(shown).toContain("\\u{1b}");
      expect(inLines(shown)).not.toMatch(STEERS);
      expect(inLines(await type(["logs", failed.id, "--json"], { isTTY, url: carelessUrl }))).not.toMatch(STEERS);
    }
  });

  test("on a real terminal, from the real program", async () => {
    const program = `${process.execPath} ${builtProgram()} logs ${failed.id}`;
    const env = { PATH: "/usr/bin:/bin", HOME: fleet.home, FLEET_URL: carelessUrl, FLEET_TOKEN: token, NO_COLOR: "1" };

    const { stdout: shown } = await run("script", ["-qec", program, "/dev/null"], {
      env: { ...env, TERM: "xterm-256color" },
      cwd: join(import.meta.dirname, "..", ".."),
    });

    expect(shown).toContain("\\u{1b}");
    expect(inLines(shown.replaceAll("\r\n", "\n"))).not.toMatch(STEERS);
  });
});

describe("the readable part of a log remains:", () => {
  const readable = cases.filter(({ plain, text }) => /^[\x20-\x7e]+$/.test(plain) && !text.includes("\r"));

  test("in all cases", async () => {
    const log = await type(["logs", failed.id, "-n", "1000"]);

    expect(readable.length).toBeGreaterThan(30);
    expect(readable.filter(({ plain }) => !log.includes(plain)).map(({ name }) => name)).toEqual([]);
  });
});

test("a line that an agent forges is a line of its log, and of nothing else", async () => {
  expect(await type(["logs", failed.id, "-n", "1000"])).toContain("\n[FLEET] merged | 0 | all good\n");
  for (const words of [["show", failed.id], ["ps", "--all"], ["events"]]) {
    expect((await type(words)).split("\n").filter((line) => line.startsWith("[FLEET]"))).toEqual([]);
  }
  expect(fleet.lines.filter((line) => line.includes("all good") && !line.startsWith("[FLEET] "))).toEqual([]);
});
