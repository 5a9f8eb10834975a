/** fleet ps: one row per agent, what needs a human first. */
import { setTimeout as pause } from "node:timers/promises";
import { asString, type Command, type CommandOptions, type Shell } from "../command.ts";
import type { PsView } from "../../views/agent.ts";

const psView = async () => (await import("../../views/agent.ts")).PsView;

const REFRESH_MS = 2_000;

export const psCommand: Command = {
  usage: "ps",
  summary: "which agents there are, and how they are",
  options: [
    ["-a, --all", "also the tasks that are over"],
    ["--tenant <tenant>", "another tenant's (role admin)"],
    ["--host <host>", "only those on one host"],
    ["--status <status>", "only those in one status"],
    ["--orphans", "also processes and sessions that nobody asked for"],
    ["--wide", "every column, however wide"],
    ["--watch", "again every two seconds, until Ctrl-C"],
    ["--exit-code", "exit 1 when an agent is not healthy"],
  ],
  examples: [
    "fleet ps",
    "fleet ps --status running --host build-2",
    "fleet ps --json | jq '.agents[].health'",
    "fleet ps --exit-code > /dev/null || echo look",
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
      // Home first and clear what is left below: no flicker.
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
  // Each line clears what was there before it.
  const clear = watch && terminal.isTty ? "\u001B[K" : "";
  for (const line of psLines(view, seen, world.clock())) terminal.line(line + clear);
}

/** A frozen agent is silent on purpose. A task that waits for its turn has no agent yet, and so none that is unwell. */
function isUnhealthy({ status, health, pane, drift, condition }: PsView["agents"][number]): boolean {
  if (drift !== null) return true;
  if (condition === "paused") return false;
  if (status !== null && status !== "running") return false;
  return health !== "healthy" || pane === "dead";
}
