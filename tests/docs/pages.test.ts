/** The pages of docs/ that are written from the code: states, errors, queues, verbs, and the files for machines. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { z } from "zod";
import { PROCESSORS } from "../../processors/index.ts";
import { hostQueue } from "../../queues/host.ts";
import { QUEUES } from "../../queues/index.ts";
import type { QueueDefinition } from "../../queues/define.ts";
import { fleetSchedules } from "../../schedules/fleet.ts";
import { COMMANDS } from "../../src/cli/main.ts";
import { DriftReportDocument } from "../../src/domain/drift/report.ts";
import { FAILURES } from "../../src/domain/errors.ts";
import { ScheduleFile } from "../../src/domain/orders/schedule.ts";
import { LastRun } from "../../src/domain/orders/last-run.ts";
import { ScienceIndex } from "../../src/domain/science/science-index.ts";
import { WorkOrder } from "../../src/domain/orders/order.ts";
import { Plan } from "../../src/domain/plan/plan.ts";
import { Settings } from "../../src/domain/settings/settings.ts";
import {
  SLOT_HOLDING_STATUSES,
  TERMINAL_STATUSES,
  VALID_TRANSITIONS,
  type TaskStatus,
} from "../../src/domain/task/task.ts";
import { VERSION } from "../../src/domain/version.ts";
import { buildOpenApi } from "../../src/http/docs/openapi.ts";
import { webRoutes } from "../../src/http/routes/index.ts";
import { NO_KEYS } from "../support/api.ts";
import { generateClientTypes } from "../support/client-types.ts";
import { expectJson, expectPage, expectSource } from "../support/pages.ts";

test("docs/states.md is the table of transitions", async () => {
  await expectPage("docs/states.md", statesPage());
});

test("docs/errors.md is the table of failures", async () => {
  await expectPage("docs/errors.md", errorsPage());
});

test("docs/queues.md is the list of queues and schedules", async () => {
  await expectPage("docs/queues.md", queuesPage());
});

test("docs/cli.md is what --help says", async () => {
  await expectPage("docs/cli.md", await cliPage());
});

test("docs/openapi.json is written from the routes", async () => {
  await expectJson(
    "docs/openapi.json",
    buildOpenApi(
      webRoutes(async () => "", NO_KEYS),
      VERSION,
    ),
  );
});

test("src/cli/client/routes.ts, by which the verbs ask, is written from docs/openapi.json", async () => {
  await expectSource(
    "src/cli/client/routes.ts",
    generateClientTypes(JSON.parse(await readFile("docs/openapi.json", "utf8"))),
  );
});

test("schemas/last_run.schema.json is the contract of last_run.json", async () => {
  await expectJson("schemas/last_run.schema.json", z.toJSONSchema(LastRun));
});

test("schemas/drift_report.schema.json is the report of drift, as the API, fleet drift --json and drift.json have it", async () => {
  await expectJson("schemas/drift_report.schema.json", z.toJSONSchema(DriftReportDocument));
});

test("schemas/science_index.schema.json is the index of research dossiers", async () => {
  await expectJson("schemas/science_index.schema.json", z.toJSONSchema(ScienceIndex));
});

test("schemas/fleet.schema.json is the schema of fleet.yaml", async () => {
  await expectJson("schemas/fleet.schema.json", z.toJSONSchema(Settings, { io: "input", unrepresentable: "any" }));
});

test("schemas/work_order.schema.json is the schema of a work order as it is written", async () => {
  await expectJson("schemas/work_order.schema.json", z.toJSONSchema(WorkOrder));
});

test("schemas/plan.schema.json is the schema of what fleet plan --json prints", async () => {
  await expectJson("schemas/plan.schema.json", z.toJSONSchema(Plan));
});

test("schemas/schedule.schema.json is the schema of a schedule's file", async () => {
  await expectJson("schemas/schedule.schema.json", z.toJSONSchema(ScheduleFile, { io: "input" }));
});

const HOLDING: ReadonlySet<string> = new Set(SLOT_HOLDING_STATUSES);

const MEANING_OF: Readonly<Record<TaskStatus, string>> = {
  proposed: "asked for and admitted; waits for a host with a free slot",
  spawning: "a host has taken it and is starting the agent",
  running: "the agent's heartbeat was seen",
  pr_created: "there is a pull request; its checks run",
  reviewing: "reviewers read the pull request",
  ready: "the definition of done holds; waits for merge or reject",
  merged: "the pull request is in its base branch",
  rejected: "a reviewer, or the operator, asked for changes",
  failed: "the attempt failed; the failure is captured",
  retrying: "another attempt was admitted",
  abandoned: "no attempts are left, or repeating would fail the same way",
  cancelled: "the operator stopped it",
};
const MEANINGS: ReadonlyMap<string, string> = new Map(Object.entries(MEANING_OF));

function statesPage(): string {
  const arrows = Object.entries(VALID_TRANSITIONS).flatMap(([from, ways]) => ways.map((to) => `  ${from} --> ${to}`));
  const ends = TERMINAL_STATUSES.map((status) => `  ${status} --> [*]`);
  const rows = Object.entries(VALID_TRANSITIONS).map(([status, ways]) => {
    const holds = HOLDING.has(status) ? "yes" : "";
    return `| \`${status}\` | ${MEANINGS.get(status)} | ${holds} | ${ways.map((way) => `\`${way}\``).join(" ") || "final"} |`;
  });
  return `# States of a task

The database refuses every other way; \`src/domain/task/task.ts\` holds the table this page is written from.

\`\`\`mermaid
stateDiagram-v2
  [*] --> proposed
${[...arrows, ...ends].join("\n")}
\`\`\`

| State | Meaning | Holds a slot | May go to |
|---|---|---|---|
${rows.join("\n")}

Beside its state a live task has a condition: \`ok\`, \`needs_input\`, \`waiting_quota\`, \`waiting_slot\`,
\`operator_attached\`, \`paused\` or \`doubtful\`. It says what the task waits for, or why nobody should judge it yet.
`;
}

function errorsPage(): string {
  const rows = Object.entries(FAILURES).map(
    ([code, { title, status, exit, retry }]) =>
      `| \`${code}\` | ${title} | ${status} | ${exit} | ${retry ? "yes" : "no"} |`,
  );
  return `# Errors

Everything that may be refused or fail. The API answers with \`application/problem+json\` whose \`type\` ends in the code;
the commands exit with the code's number (0 ok, 1 failure, 2 usage, 3 not found or denied, 4 not verified). "Again: yes"
means that the world will mend it, so jobs are tried again; "no" means that the asker has to.

| Code | Meaning | HTTP | Exit | Again |
|---|---|---|---|---|
${rows.join("\n")}
`;
}

function queuesPage(): string {
  const answered = new Set([...PROCESSORS.map(({ queue }) => queue.name), "host"]);
  const all = [...QUEUES, hostQueue("<hostId>")];
  const rows = all.map((queue) => {
    expect(answered.has(wordOf(queue)), queue.name).toBe(true);
    return `| \`${queue.name}\` | \`processors/${wordOf(queue)}.ts\` | ${queue.attempts} | ${queue.backoffMs} ms | ${queue.concurrency} | ${kept(queue.keepCompleted)} | ${kept(queue.keepFailed)} |`;
  });
  const schedules = fleetSchedules().map(
    ({ id, queue, everyMs }) => `| \`${id}\` | \`${queue.name}\` | ${everyMs / 1_000} s |`,
  );
  return `# Queues

A job is a hint that says where to look, never an order: its data are ids, the row in PostgreSQL says whether there is
anything to do. So a job may be lost, doubled, late or out of order. Each queue has one word: \`queues/<word>.ts\` defines
it, \`processors/<word>.ts\` answers it with the use case in \`src/conductor/\`.

| Queue | Answered by | Tries | First pause | At once per worker | Finished jobs kept | Failed jobs kept |
|---|---|---|---|---|---|---|
${rows.join("\n")}

## What asks by the clock

With the default pace, \`FLEET_TICK_MS=5000\`:

| Schedule | Queue | Every |
|---|---|---|
${schedules.join("\n")}
`;
}

function wordOf({ name }: QueueDefinition): string {
  return name.split(".")[0] ?? name;
}

function kept({ count, ageMs }: QueueDefinition["keepFailed"]): string {
  return `${count.toLocaleString("en")}, ${ageMs / 3_600_000} h`;
}

async function cliPage(): Promise<string> {
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
server than this home's own.

| Command | What it does |
|---|---|
${list.join("\n")}

${details.join("\n")}`;
}
