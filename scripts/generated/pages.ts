/** The pages of docs/ that are generated: states, errors, queues, commands and settings. */
import { z } from "zod";
import { hostQueue } from "../../queues/host.ts";
import { QUEUES } from "../../queues/index.ts";
import type { QueueDefinition } from "../../queues/define.ts";
import { fleetSchedules } from "../../schedules/fleet.ts";
import { COMMANDS } from "../../src/cli/main.ts";
import { FAILURES } from "../../src/domain/errors.ts";
import { PREFERENCES } from "../../src/domain/settings/preferences.ts";
import {
  Condition,
  SLOT_HOLDING_STATUSES,
  TERMINAL_STATUSES,
  VALID_TRANSITIONS,
  type TaskStatus,
} from "../../src/domain/task/task.ts";
import { Config } from "../../src/environment.ts";

const HOLDS_SLOT: ReadonlySet<string> = new Set(SLOT_HOLDING_STATUSES);

const MEANINGS_BY_STATUS: Readonly<Record<TaskStatus, string>> = {
  proposed: "requested and admitted; waits for a host with a free slot",
  spawning: "a host has claimed it and is starting the agent",
  running: "the agent's first heartbeat was seen",
  pr_created: "there is a pull request; its checks run",
  reviewing: "reviewers review the pull request",
  ready: "the definition of done is met; waits for merge or reject",
  merged: "the pull request is in its base branch",
  rejected: "a reviewer or the operator requested changes",
  failed: "the attempt failed; the failure is recorded",
  retrying: "another attempt was admitted",
  abandoned: "no attempts are left, or another would fail the same way",
  cancelled: "the operator stopped it",
};
const MEANINGS: ReadonlyMap<string, string> = new Map(Object.entries(MEANINGS_BY_STATUS));

export function statesPage(): string {
  const arrows = Object.entries(VALID_TRANSITIONS).flatMap(([from, ways]) => ways.map((to) => `  ${from} --> ${to}`));
  const conditions = Condition.options.map((condition) => `\`${condition}\``);
  const ends = TERMINAL_STATUSES.map((status) => `  ${status} --> [*]`);
  const rows = Object.entries(VALID_TRANSITIONS).map(([status, ways]) => {
    const holds = HOLDS_SLOT.has(status) ? "yes" : "";
    return `| \`${status}\` | ${MEANINGS.get(status)} | ${holds} | ${ways.map((way) => `\`${way}\``).join(" ") || "final"} |`;
  });
  return `# States of a task

The database refuses every other transition. This page is generated from the table in \`src/domain/task/task.ts\`.

\`\`\`mermaid
stateDiagram-v2
  [*] --> proposed
${[...arrows, ...ends].join("\n")}
\`\`\`

| State | Meaning | Holds a slot | Next states |
|---|---|---|---|
${rows.join("\n")}

Besides its state, a live task has a condition: ${conditions.slice(0, -1).join(", ")} or ${conditions.at(-1)}. It says what the task waits for, or why its facts cannot be trusted yet.
`;
}

export function errorsPage(): string {
  const rows = Object.entries(FAILURES).map(
    ([code, { title, status, exit, retry }]) =>
      `| \`${code}\` | ${title} | ${status} | ${exit} | ${retry ? "yes" : "no"} |`,
  );
  return `# Errors

All errors. The API answers with \`application/problem+json\` whose \`type\` ends in the code;
the commands exit with the code's number (0 ok, 1 failure, 2 usage, 3 not found or denied, 4 not verified). "Retry: yes"
means that the cause can pass by itself, so jobs are retried; "no" means that the caller has to change something.

| Code | Meaning | HTTP | Exit | Retry |
|---|---|---|---|---|
${rows.join("\n")}
`;
}

export function queuesPage(): string {
  const rows = [...QUEUES, hostQueue("<hostId>")].map((queue) => {
    return `| \`${queue.name}\` | \`processors/${wordOf(queue)}.ts\` | ${queue.attempts} | ${queue.backoffMs} ms | ${queue.concurrency} | ${retention(queue.keepCompleted)} | ${retention(queue.keepFailed)} |`;
  });
  const schedules = fleetSchedules().map(
    ({ id, queue, everyMs }) => `| \`${id}\` | \`${queue.name}\` | ${everyMs / 1_000} s |`,
  );
  return `# Queues

A job is a hint: it contains ids, and the row in PostgreSQL says whether there is anything to do. A job may therefore be
lost, duplicated, late or out of order. Each queue has one name: \`queues/<name>.ts\` defines it, and
\`processors/<name>.ts\` processes its jobs by calling a use case in \`src/conductor/\`.

| Queue | Processor | Attempts | First delay | Concurrency per worker | Completed jobs retained | Failed jobs retained |
|---|---|---|---|---|---|---|
${rows.join("\n")}

## Schedules

With the default \`FLEET_TICK_MS=5000\`:

| Schedule | Queue | Every |
|---|---|---|
${schedules.join("\n")}
`;
}

function wordOf({ name }: QueueDefinition): string {
  return name.split(".")[0] ?? name;
}

function retention({ count, ageMs }: QueueDefinition["keepFailed"]): string {
  return `${count.toLocaleString("en")}, ${ageMs / 3_600_000} h`;
}

export async function cliPage(): Promise<string> {
  const commands = (await Promise.all(Object.values(COMMANDS).map((load) => load()))).flat();
  const list = commands.map(({ usage, summary }) => `| \`fleet ${usage}\` | ${summary} |`);
  const details = commands.map(({ usage, summary, options, examples }) => {
    const rows = options.map(([flags, description]) => `| \`${flags}\` | ${description.replaceAll("|", "\\|")} |`);
    const table = rows.length > 0 ? `\n| Option | |\n|---|---|\n${rows.join("\n")}\n` : "";
    return `## fleet ${usage}\n\n${summary[0]?.toUpperCase()}${summary.slice(1)}.\n${table}\n\`\`\`sh\n${examples.join("\n")}\n\`\`\`\n`;
  });
  return `# Commands

Every command takes \`--json\` and \`--help\`. A task is named by its id, a prefix of it, or its short name. Exit codes:
0 ok, 1 failure, 2 usage, 3 not found or denied, 4 not verified. \`FLEET_URL\` and \`FLEET_TOKEN\` point at another
server than the one of this home.

| Command | What it does |
|---|---|
${list.join("\n")}

${details.join("\n")}`;
}

export function environmentPage(): string {
  const rows = Object.entries(Config.shape).map(([name, shape]) => {
    const { default: fallback } = z.toJSONSchema(shape, { io: "input", unrepresentable: "any" });
    const shown = typeof fallback === "string" ? fallback : JSON.stringify(fallback);
    return `| \`${name}\` | ${shown === undefined ? "—" : `\`${shown}\``} | ${shape.description} |`;
  });
  const preferences = Object.entries(PREFERENCES).map(
    ([key, { description, sealed }]) => `| \`${key}\` | ${sealed ? "yes" : "—"} | ${description} |`,
  );
  return `# Settings

Each process reads these settings from the environment once, at startup. An empty variable counts as unset. One error
names all invalid variables. Durations are in milliseconds. Products, reviewers and limits are configured in
\`fleet.yaml\`.

| Variable | Default | Description |
|---|---|---|
${rows.join("\n")}

## Preferences of operators and tenants

\`fleet config set\` stores them in the database: for yourself, or with \`--tenant\` for every operator of the tenant who
has not set their own. Sealed values are encrypted under \`FLEET_ENCRYPTION_KEY\` and never shown again.

| Key | Sealed | Description |
|---|---|---|
${preferences.join("\n")}
`;
}
