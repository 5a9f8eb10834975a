/** One row adds a channel, and one an agent type: settings, preferences, environment, help and JSON schema follow. */
import { expect, test } from "vitest";
import { z } from "zod";
import type { Command } from "../../src/cli/command.ts";
import { configCommands, setExamples } from "../../src/cli/commands/config.ts";
import { spawnCommand, spawnOptions } from "../../src/cli/commands/spawn.ts";
import { parse } from "../../src/cli/parse.ts";
import { channelEnvironment, CHANNELS } from "../../src/domain/notify/channels.ts";
import { preferences } from "../../src/domain/settings/preferences.ts";
import { fleetSettings } from "../../src/domain/settings/settings.ts";
import { AGENT_TYPES } from "../../src/domain/task/agent-types.ts";
import { aMessage } from "../notify/message.ts";
import { pager, pagerChannel } from "./pager.ts";
import { parrot } from "./parrot.ts";

const channels = { ...CHANNELS, pager };
const agentTypes = { ...AGENT_TYPES, parrot };
const Settings = fleetSettings(channels, agentTypes);
const never = new AbortController().signal;

test("fleet.yaml accepts the channel with its target, and names missing or wrong fields", () => {
  const notify = { channels: ["pager"], pager: { number: "+49301234567", pin: "1234" } };

  expect(Settings.parse({ notify }).notify).toEqual({
    channels: ["pager"],
    mute: [],
    targets: { pager: notify.pager },
  });
  expect(pathsOf({ notify: { channels: ["pager"] } })).toEqual(["notify.channels.0"]);
  expect(pathsOf({ notify: { ...notify, pager: { number: "mother", pin: "1234" } } })).toEqual(["notify.pager.number"]);
  expect(pathsOf({ notify: { channels: ["pigeon"] } })).toEqual(["notify.channels.0"]);
});

test("fleet.yaml accepts the agent type for tasks, the roster and reviewers", () => {
  const given = {
    routing: { docs: [{ agentType: "parrot" }] },
    roster: [{ name: "polly", runtime: "parrot", session: "polly", agentType: "parrot" }],
    reviewers: [{ name: "polly", type: "parrot" }],
  };

  expect(Settings.parse(given)).toMatchObject({ ...given, reviewers: { default: given.reviewers } });
  const mute = fleetSettings(channels, { ...agentTypes, parrot: { ...parrot, mayReview: false } });
  expect(mute.safeParse(given).success).toBe(false);
});

test("the JSON schema of fleet.yaml has both", () => {
  const schema = z.toJSONSchema(Settings, { io: "input", unrepresentable: "any" });

  expect(schema).toHaveProperty("properties.notify.properties.channels.items.enum", Object.keys(channels));
  expect(schema).toHaveProperty("properties.notify.properties.pager.required", ["number", "pin"]);
  expect(schema).toHaveProperty(
    "properties.routing.additionalProperties.items.properties.agentType.enum",
    Object.keys(agentTypes),
  );
  expect(schema).toHaveProperty(
    "properties.reviewers.anyOf.0.items.properties.type.enum",
    expect.arrayContaining(["parrot"]),
  );
});

test("the preferences have the channel, and a key for each of its fields", () => {
  const table = preferences(channels);

  expect(Object.keys(table)).toEqual([
    ...Object.keys(preferences(CHANNELS)),
    "notify.pager.number",
    "notify.pager.pin",
  ]);
  expect(table["notify.channels"]?.schema.parse("terminal, pager")).toEqual(["terminal", "pager"]);
  expect(table["notify.channels"]?.description).toContain("email, pager;");
  expect(table["notify.pager.pin"]?.sealed).toEqual({ secret: true });
});

test("the environment has the channel's variables", () => {
  const Environment = z.object(channelEnvironment(channels));

  expect(Environment.parse({ FLEET_PAGER_GATEWAY: "https://pager.example.com" })).toEqual({
    FLEET_PAGER_GATEWAY: "https://pager.example.com",
    FLEET_SMTP_FROM: "fleet@localhost",
  });
});

test("the help shows how to set the channel up, and names the agent type", async () => {
  const setCommand = configCommands.find(({ usage }) => usage.startsWith("config set"));
  if (!setCommand) throw new Error("There is no command config set.");

  expect(await helpOf("config", { ...setCommand, examples: setExamples(channels) }, "set")).toContain(
    "$ fleet config set notify.pager.number +49301234567",
  );
  expect(await helpOf("spawn", { ...spawnCommand, options: spawnOptions(agentTypes) })).toMatch(
    /--agent-type <type> +claude_code, codex, gemini, opencode, command, stub or parrot/,
  );
});

test("the channel only delivers to a target of its row's schema", async () => {
  const calls: string[] = [];
  const channel = pagerChannel((number, text) => calls.push(`${number} ${text}`));

  expect(await channel.deliver(aMessage(), { number: "+49301234567", pin: "1234" }, never)).toEqual({
    kind: "delivered",
  });
  expect(await channel.deliver(aMessage(), { number: "mother", pin: "1234" }, never)).toEqual({
    kind: "permanent",
    reason: "the target of this channel is not valid (number: must be a number with its country code)",
  });
  expect(await channel.deliver(aMessage(), undefined, never)).toMatchObject({ kind: "permanent" });
  expect(calls).toEqual(["+49301234567 Attempt failed: Fix the login"]);
});

function pathsOf(input: unknown): string[] | undefined {
  return Settings.safeParse(input).error?.issues.map(({ path }) => path.join("."));
}

async function helpOf(verb: string, command: Command, ...words: string[]): Promise<string> {
  let text = "";
  const stdout = { write: (more: string) => void (text += more), columns: 200 };
  await parse({ [verb]: async () => command }, [verb, ...words, "--help"], {
    env: {},
    cwd: "/",
    stdout,
    stderr: stdout,
    signal: never,
    clock: () => new Date(),
    random: () => 0.5,
  });
  return text;
}
