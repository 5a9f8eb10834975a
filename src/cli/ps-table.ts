/** The rows of `fleet ps`. Dropped first when there is no room: systemd, runtime, pid, tenant, spend, host, pane, idle, agent, try. */
import type { AgentView, HostView, PsView } from "../views/agent.ts";
import { tableOf, type Column } from "./table.ts";
import { shown, type Terminal } from "./terminal.ts";
import { plural, span, spendOf, type Colour } from "./words.ts";

export function psLines(terminal: Terminal, { agents, hosts, orphans, missing }: PsView, now: Date): string[] {
  const lines = [];
  if (terminal.isTty) lines.push(summary(terminal, agents, hosts), "");
  if (agents.length > 0) lines.push(...tableOf(terminal, columnsOf(terminal, now), agents.toSorted(urgency)));
  else lines.push(`No agents. Ask for work: fleet spawn <repository> "<what to do>"`);
  if (orphans.length > 0) {
    lines.push(
      "",
      terminal.paint(
        "yellow",
        `${plural(orphans.length, "orphan")} (running, but nobody in the registry asked for it)`,
      ),
    );
    for (const { host, session, pid, why } of orphans) {
      lines.push(`  ${shown(host)}  ${shown(session ?? `pid ${pid ?? "?"}`)}  ${terminal.paint("dim", shown(why))}`);
    }
  }
  for (const plane of missing) lines.push(`${terminal.paint("yellow", "!")} ${shown(plane)}`);
  return lines;
}

function columnsOf(terminal: Terminal, now: Date): Column<AgentView>[] {
  const { paint } = terminal;
  return [
    { head: "NAME", drop: 0, cell: ({ name }) => paint("bold", shown(name)) },
    { head: "STATUS", drop: 0, cell: (agent) => statusOf(terminal, agent) },
    { head: "TASK", drop: 0, shrinkTo: 16, cell: ({ title }) => shown(title ?? "") },
    { head: "AGENT", drop: 2, shrinkTo: 12, cell: ({ agentType, model }) => shown(model ?? agentType) },
    { head: "TENANT", drop: 7, cell: ({ tenantId }) => shown(tenantId) },
    { head: "HOST", drop: 5, cell: ({ host }) => shown(host ?? "–") },
    { head: "RUNTIME", drop: 9, cell: ({ runtime }) => runtime },
    { head: "SYSTEMD", drop: 10, cell: ({ systemd }) => shown(systemd ?? "") },
    { head: "PANE", drop: 4, cell: ({ pane }) => paint(PANES[pane], pane === "unknown" ? "–" : pane) },
    { head: "PID", drop: 8, align: "right", cell: ({ pid }) => (pid === null ? "" : String(pid)) },
    { head: "IDLE", drop: 3, align: "right", cell: ({ idleMs }) => (idleMs === null ? "" : span(idleMs)) },
    { head: "BEAT", drop: 0, cell: (agent) => beatOf(terminal, agent) },
    { head: "TRY", drop: 1, cell: tryOf },
    { head: "SPEND", drop: 6, align: "right", cell: ({ spend }) => spendOf(spend) },
    {
      head: "FOR",
      drop: 3,
      align: "right",
      cell: ({ since }) => (since === null ? "" : span(now.getTime() - Date.parse(since))),
    },
    { head: "WARNING", drop: 0, shrinkTo: 12, cell: (agent) => warningOf(terminal, agent) },
  ];
}

const PANES: Readonly<Record<AgentView["pane"], Colour>> = { alive: "green", dead: "red", unknown: "gray" };
const HEALTH: Readonly<Record<AgentView["health"], { glyph: string; colour: Colour }>> = {
  healthy: { glyph: "♥", colour: "green" },
  stale: { glyph: "✖", colour: "red" },
  unknown: { glyph: "?", colour: "gray" },
};

function statusOf(terminal: Terminal, { status, condition }: AgentView): string {
  return status === null ? terminal.paint("gray", "◆ roster") : terminal.status(status, condition);
}

function beatOf({ paint }: Terminal, { health, heartbeatAgeMs }: AgentView): string {
  if (heartbeatAgeMs === null) return paint("gray", "–");
  const { glyph, colour } = HEALTH[health];
  return paint(colour, `${glyph} ${span(heartbeatAgeMs)}`);
}

function tryOf({ attempt, maxRetries }: AgentView): string {
  return maxRetries === null ? "" : `${attempt + 1}/${maxRetries + 1}`;
}

function warningOf({ paint }: Terminal, { drift, bootEnable }: AgentView): string {
  const warnings = [drift, bootEnable].filter((warning) => warning !== null);
  return warnings.length === 0 ? "" : paint("yellow", shown(warnings.join("; ")));
}

/** Who waits for a human, then who is unwell, then by how far the work is. */
function urgency(a: AgentView, b: AgentView): number {
  return rank(a) - rank(b) || (b.since ?? "").localeCompare(a.since ?? "");
}

function rank({ condition, status, health, pane }: AgentView): number {
  if (condition === "needs_input") return 0;
  if (status === "running" && (health === "stale" || pane === "dead")) return 1;
  return ORDER.indexOf(status ?? "roster") + 2;
}

const ORDER: readonly string[] = [
  "ready",
  "failed",
  "rejected",
  "running",
  "reviewing",
  "pr_created",
  "retrying",
  "spawning",
  "proposed",
  "roster",
  "abandoned",
  "merged",
  "cancelled",
];

function summary({ paint }: Terminal, agents: readonly AgentView[], hosts: readonly HostView[]): string {
  const asking = agents.filter(({ condition }) => condition === "needs_input").length;
  const running = agents.filter(({ status }) => status === "running").length;
  const lost = hosts.filter(({ state }) => state === "lost").length;
  const free = hosts.reduce((sum, host) => sum + (host.state === "up" ? host.free : 0), 0);
  const slots = hosts.reduce((sum, host) => sum + (host.state === "up" ? host.slots : 0), 0);
  const parts = [paint("bold", plural(agents.length, "agent")), `${running} running`];
  if (asking > 0) parts.push(paint("magenta", `${asking} waiting for you`));
  if (hosts.length > 0) parts.push(`${plural(hosts.length - lost, "host")}, ${free} of ${plural(slots, "slot")} free`);
  if (lost > 0) parts.push(paint("red", `${plural(lost, "host")} lost`));
  return parts.join(" · ");
}
