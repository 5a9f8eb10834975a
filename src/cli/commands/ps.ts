/** fleet ps: one row per agent; those that need a human come first. */
import { setTimeout as pause } from "node:timers/promises";
import { asString, type Command, type CommandOptions, type Shell } from "../command.ts";
import type { PsView } from "../../views/agent.ts";

const psView = async () => (await import("../../views/agent.ts")).PsView;

const REFRESH_MS = 2_000;

export const psCommand: Command = {
  usage: "ps",
  summary: "list the agents and their health",
  options: [
    ["-a, --all", "also tasks that have ended"],
    ["--tenant <tenant>", "agents of another tenant (role admin)"],
    ["--host <host>", "only agents on one host"],
    ["--status <status>", "only agents with one status"],
    ["--orphans", "also processes and sessions that belong to no known task"],
    ["--wide", "show every column, whatever the width"],
    ["--watch", "refresh every two seconds, until Ctrl-C"],
    ["--exit-code", "exit with 1 when an agent is not healthy"],
  ],
  examples: [
    "fleet ps",
    "fleet ps --status running --host build-2",
    "fleet ps --json | jq '.agents[].health'",
    "fleet ps --exit-code > /dev/null || echo unhealthy",
  ],

  async run(shell, _args, options) {
    const query = buildFilter(options);
    const fetchAgents = () => shell.api.request("GET /api/fleet/ps", { query }, psView);
    let seen = await fetchAgents();
    await printAgents(shell, seen, options);
    while (options["watch"] && !shell.world.signal.aborted) {
      await pause(REFRESH_MS, undefined, { signal: shell.world.signal }).catch(() => {});
      if (shell.world.signal.aborted) break;
      seen = await fetchAgents();
      // Moves the cursor home and clears what is left below, which avoids flicker.
      if (shell.terminal.isTty && !shell.json) shell.terminal.raw("\u001B[H");
      await printAgents(shell, seen, options);
      if (shell.terminal.isTty && !shell.json) shell.terminal.raw("\u001B[J");
    }
    return options["exitCode"] && seen.agents.some((agent) => isUnhealthy(agent)) ? 1 : 0;
  },
};

function buildFilter({ all, tenant, host, status, orphans }: CommandOptions) {
  return {
    all: all === true,
    tenant: asString(tenant),
    host: asString(host),
    status: asString(status),
    orphans: orphans === true,
  };
}

async function printAgents(
  { json, terminal, world }: Shell,
  seen: PsView,
  { wide, watch }: CommandOptions,
): Promise<void> {
  if (json) {
    terminal.json(seen);
    return;
  }
  const { psLines } = await import("../print/ps-table.ts");
  if (watch && terminal.isTty) terminal.raw("\u001B[H");
  const view = wide ? { ...terminal, columns: Number.POSITIVE_INFINITY } : terminal;
  // Each line clears the rest of the line that was there before.
  const clear = watch && terminal.isTty ? "\u001B[K" : "";
  for (const line of psLines(view, seen, world.clock())) terminal.line(line + clear);
}

/** A frozen agent is silent on purpose, and a task that waits for its turn has no agent yet, so neither counts as unhealthy. */
function isUnhealthy({ status, health, pane, drift, condition }: PsView["agents"][number]): boolean {
  if (drift !== null) return true;
  if (condition === "paused") return false;
  if (status !== null && status !== "running") return false;
  return health !== "healthy" || pane === "dead";
}
