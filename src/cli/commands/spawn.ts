/** fleet spawn: requests a task, and with --wait waits until it is ready. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { AGENT_TYPES, type AgentTypeTable, formatChoice } from "../../domain/task/agent-types.ts";
import { type Command, type CommandOptions, asNumber, asString } from "../command.ts";
import type { World } from "../world.ts";

export const spawnCommand: Command = {
  usage: "spawn <repository> <description>",
  summary: "request a task",
  options: spawnOptions(AGENT_TYPES),
  examples: [
    'fleet spawn . "Fix the flaky login test" --wait',
    'fleet spawn /srv/git/shop.git "Add CSV export to orders" --type feature --agent-type codex',
    'fleet spawn . "Port the parser" --max-cost 5 --max-minutes 90',
    'fleet spawn . "Format everything" --command "npx prettier --write ."',
  ],

  async run({ api, terminal, json, world }, [repository = "", description = ""], options) {
    const { parseInput } = await import("../../domain/errors.ts");
    const { SpawnRequest } = await import("../../domain/task/spawn.ts");
    const { TaskView } = await import("../../views/task.ts");
    const request = parseInput(
      SpawnRequest,
      buildSpawnRequest(resolveRepository(repository, world.cwd), description, options),
    );
    const params = { body: request, idempotencyKey: makeIdempotencyKey(description, world) };
    const task = await api.request("POST /api/fleet/spawn", params, TaskView);
    if (options["wait"]) {
      const { waitForTask } = await import("../wait/wait-for-task.ts");
      return waitForTask(task, { api, terminal, json, world });
    }
    if (json) terminal.json(task);
    else {
      terminal.line(
        `${terminal.status(task.status)}  ${terminal.paint("bold", task.shortId)}  ${terminal.sanitize(task.title)}`,
      );
      terminal.line(terminal.paint("dim", `  Follow it: fleet show ${task.shortId} · fleet logs ${task.shortId} -f`));
    }
    return 0;
  },
};

export function spawnOptions(agentTypes: AgentTypeTable): Command["options"] {
  return [
    ["-w, --wait", "wait until it is ready or has ended; exit with 0 only when ready or merged"],
    ["--title <title>", "a short name (default: the first line of the description)"],
    ["--acceptance <text>", "the criteria that show it is done"],
    ["--agent-type <type>", formatChoice(Object.keys(agentTypes))],
    ["--model <model>", "use this model instead of the routing table's"],
    ["--type <type>", "bug_fix, feature, refactor, review or docs"],
    ["--base <branch>", "branch the work starts from (default: main)"],
    ["--branch <branch>", "branch for the work (default: derived from the title)"],
    ["--workspace <kind>", "worktree or clone"],
    ["--command <line>", "for agent type command: a shell line; the prompt arrives on its stdin"],
    ["--script <name>", "for agent type stub: the script to play"],
    ["--max-retries <n>", "how often a failed attempt is retried (default: 3)"],
    ["--timeout <minutes>", "how long an attempt may take (default: 60)"],
    ["--max-tokens <n>", "token budget of all its attempts; a warning at 80 %, a stop at 100 %"],
    ["--max-cost <dollars>", "the same as a cost in US dollars"],
    ["--max-minutes <n>", "the same in minutes of agent run time"],
  ];
}

/** Options that were not given are left out, so that only the schema defines the defaults. */
function buildSpawnRequest(repository: string, description: string, options: CommandOptions): Record<string, unknown> {
  const line = asString(options["command"]);
  const fields = {
    repository,
    description,
    title: options["title"],
    acceptance: options["acceptance"],
    agentType: options["agentType"] ?? (line === undefined ? undefined : "command"),
    model: options["model"],
    taskType: options["type"],
    baseBranch: options["base"],
    branch: options["branch"],
    workspace: options["workspace"],
    command: line === undefined ? undefined : ["sh", "-c", line],
    script: options["script"],
    maxRetries: asNumber(options["maxRetries"]),
    timeoutMinutes: asNumber(options["timeout"]),
    budget: parseBudget(options),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function parseBudget(options: CommandOptions): Record<string, number> | undefined {
  const limits = {
    tokens: asNumber(options["maxTokens"]),
    cost: asNumber(options["maxCost"]),
    minutes: asNumber(options["maxMinutes"]),
  };
  const given = Object.entries(limits).flatMap(([what, limit]) =>
    limit === undefined ? [] : [[what, limit] as const],
  );
  return given.length > 0 ? Object.fromEntries(given) : undefined;
}

/** A relative path becomes absolute, because the server has another working directory. */
function resolveRepository(repository: string, cwd: string): string {
  const path = resolve(cwd, repository);
  return !repository.includes("://") && existsSync(path) ? path : repository;
}

/** Each call has its own key: retries of one request create one task, two calls create two. */
function makeIdempotencyKey(description: string, { clock, random, env }: World): string {
  const parts = [description, clock().toISOString(), env["USER"] ?? "", String(random())];
  return createHash("sha256").update(parts.join("\n")).digest("hex");
}
