/**
 * Hostile texts of people, agents and logs: refused or stored unchanged, displayed without control sequences, fenced
 * in prompts, and never run.
 */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { fenceUntrusted } from "../../src/domain/text/fence.ts";
import { buildPrompt } from "../../src/domain/task/prompt.ts";
import { aTestClient, type TestClient } from "./asker.ts";
import { About, aTrap, parseCases, Text } from "./cases.ts";
import file from "./prompts.json" with { type: "json" };

const Where = z.enum(["description", "title", "acceptance", "finding", "log"]);
const cases = parseCases(z.strictObject({ ...About, where: Where, text: Text, taken: z.boolean() }), file);
const requested = cases.filter(({ where }) => ["description", "title", "acceptance"].includes(where));
const reported = cases.filter(({ where }) => where === "finding" || where === "log");

const NONCE = "a1b2c3d4e5f60718";
/** By Unicode category, written independently of the code under test. */
const STEERS = /[\p{Cc}\p{Cs}\p{Cf}\u2028\u2029\u115f\u1160\u3164\uffa0]/u;
const TaskBody = z.object({ id: z.string(), title: z.string(), description: z.string() });

const trap = aTrap();
let asker: TestClient;
beforeAll(async () => {
  asker = await aTestClient();
});
afterAll(async () => {
  trap[Symbol.dispose]();
  await asker[Symbol.asyncDispose]();
});

function request(where: string, text: string) {
  return { repository: asker.repository, description: "x", agentType: "stub", script: "succeed", [where]: text };
}

describe("refused, and nothing is stored:", () => {
  test.each(requested.filter(({ taken }) => !taken))("$name", async ({ where, text }) => {
    const before = await asker.tasks();

    const answer = await asker.ask("POST", "/spawn", request(where, trap.fill(text)));

    expect(answer).toMatchObject({ status: 422, code: "invalid-input" });
    expect(await asker.tasks()).toBe(before);
  });
});

describe("stored unchanged, and displayed without control sequences:", () => {
  test.each(requested.filter(({ taken }) => taken))("$name", async ({ where, text }) => {
    const given = trap.fill(text);

    const { status, body } = await asker.ask("POST", "/spawn", request(where, given));
    const task = TaskBody.parse(body);
    const shown = await asker.type("show", task.id);

    expect({ status, stored: where === "title" ? task.title : task.description }).toEqual({
      status: 201,
      stored: given.trim(),
    });
    expect({ exit: shown.exit, err: shown.err }).toEqual({ exit: 0, err: "" });
    expect(shown.out.replaceAll("\n", "")).not.toMatch(STEERS);
  });
});

describe("within its fence:", () => {
  test.each(reported)("$name", ({ where, text }) => {
    const filled = trap.fill(text, { nonce: NONCE });
    const { text: prompt } = buildPrompt({
      task: {
        id: "018f3b1e-7c2a-7def-8a90-1234567890ab",
        title: "Fix the login",
        description: "Find out why.",
        repository: "/srv/git/shop.git",
        branch: "fleet/567890ab-fix",
        baseBranch: "main",
        attempt: 1,
        taskType: "bug_fix",
      },
      nonce: NONCE,
      sha256: (value) => createHash("sha256").update(value).digest("hex"),
      findings: where === "finding" ? [{ message: filled }] : [],
      failures:
        where === "log"
          ? [{ class: "ci_failed", reason: "x", summary: "x", attempt: 0, signature: "x", ciLog: filled }]
          : [],
    });
    const lines = prompt.split("\n");

    expect(lines.filter((line) => line.startsWith(`<<<DATA ${NONCE}`))).toHaveLength(1);
    expect(lines.filter((line) => line === `DATA ${NONCE}>>>`)).toHaveLength(1);
    expect(lines.find((line) => line.startsWith("# Task"))).toBe("# Task (bug_fix): Fix the login");
    const outside = `${prompt.split(`\n<<<DATA ${NONCE}`)[0]}${prompt.split(`\nDATA ${NONCE}>>>`)[1]}`;
    expect(outside).not.toMatch(/obey|FLEET-DONE|ghp_|open every door/);
    expect(fenceUntrusted("x", filled, NONCE, 1_000).split(NONCE)).toHaveLength(3);
  });
});

test("an agent that gets all of them does its work, and nothing in them was run", async () => {
  const all = requested.filter(({ taken, text }) => taken && text.length < 1_000).map(({ text }) => trap.fill(text));
  // The earlier tasks are not run: one agent is enough.
  await asker.fleet.query("delete from outbox where topic = 'spawn'");
  const { body } = await asker.ask("POST", "/spawn", request("description", all.join("\n")));

  const task = await asker.fleet.runUntil(TaskBody.parse(body).id, "ready");

  expect(task.description).toBe(all.join("\n").trim());
  trap.expectUnsprung();
});
