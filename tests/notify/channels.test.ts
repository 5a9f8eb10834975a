/** The channels as they are opened, and the one that always works. */
import { expect, test } from "vitest";
import { isChannelName } from "../../src/domain/notify/channels.ts";
import { openChannels } from "../../src/notify/channels.ts";
import { terminalLine } from "../../src/notify/terminal.ts";
import hostile from "../hostile/terminal-output.json" with { type: "json" };
import { aMessage } from "./message.ts";

const never = new AbortController().signal;
const options = { write: () => undefined, http: { clock: () => new Date() }, environment: {} };

test("the terminal gets one line of type, task and summary", async () => {
  const lines: string[] = [];
  const { terminal } = openChannels({ ...options, write: (line) => lines.push(line) });

  const outcome = await terminal.deliver(aMessage(), undefined, never);

  expect(outcome).toEqual({ kind: "delivered" });
  expect(lines).toEqual(["[FLEET] failed | 018f3b1e-7c2a-7def-8a90-1234567890ab | Attempt failed: Fix the login\n"]);
  expect(terminalLine(aMessage({ taskId: null }))).toBe("[FLEET] failed | - | Attempt failed: Fix the login");
});

test.each(hostile.cases)("a summary with $name stays one harmless line", ({ text }) => {
  expect(terminalLine(aMessage({ summary: text }))).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
});

test("the table has exactly the channels that exist, each under its own name", async () => {
  const channels = openChannels(options);

  for (const [name, channel] of Object.entries(channels)) expect(channel.name).toBe(name);
  expect(Object.keys(channels).filter(isChannelName)).toEqual(["terminal", "webhook", "email"]);
  for (const name of ["discord", "telegram", "toString", "__proto__"]) expect(isChannelName(name)).toBe(false);
  expect(await channels.email.deliver(aMessage(), { to: "ada@example.com" }, never)).toEqual({
    kind: "permanent",
    reason: "no SMTP server is configured",
  });
});
