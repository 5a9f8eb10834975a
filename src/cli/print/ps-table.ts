/** The table of `fleet ps`. Columns are dropped in this order when there is no room: systemd, runtime, pid, tenant, spend, host, pane, idle, agent, for, try, warning, beat. */
import { describeHold } from "../../domain/task/kill-switch.ts";
import type { AgentView, HostView, PsView } from "../../views/agent.ts";
import { renderTable, widthOf, type Column } from "./table.ts";
import { killSwitchHeader } from "./estop-lines.ts";
import { sanitize, type Terminal } from "./terminal.ts";
import { CONDITION_STYLES, plural, formatDuration, formatSpend, type Colour } from "./format.ts";

export function psLines(terminal: Terminal, { agents, hosts, orphans, stops, missing }: PsView, now: Date): string[] {
  const lines = killSwitchHeader(terminal, stops, now);
  if (terminal.isTty) lines.push(summary(terminal, agents, hosts), "");
  if (agents.length > 0) lines.push(...renderTable(terminal, columnsOf(terminal, now), agents.toSorted(byUrgency)));
  else lines.push(`No agents. Request a task: fleet spawn <repository> "<what to do>"`);
  if (orphans.length > 0) {
    lines.push(
      "",
      terminal.paint("yellow", `${plural(orphans.length, "orphan")} (running, but belongs to no known task)`),
    );
    for (const { host, session, pid, why } of orphans) {
      lines.push(
        `  ${sanitize(host)}  ${sanitize(session ?? `pid ${pid ?? "?"}`)}  ${terminal.paint("dim", sanitize(why))}`,
      );
    }
  }
  for (const plane of missing) lines.push(`${terminal.paint("yellow", "!")} ${sanitize(plane)}`);
  return lines;
}

function columnsOf(terminal: Terminal, now: Date): Column<AgentView>[] {
  const { paint } = terminal;
  return [
    { head: "NAME", drop: 0, cell: ({ name }) => paint("bold", sanitize(name)) },
    { head: "STATUS", drop: 0, cell: (agent) => statusCell(terminal, agent) },
    { head: "TASK", drop: 0, shrinkTo: 22, cell: ({ title }) => sanitize(title ?? "") },
    { head: "AGENT", drop: 4, shrinkTo: 12, cell: ({ agentType, model }) => sanitize(model ?? agentType) },
    { head: "TENANT", drop: 9, cell: ({ tenantId }) => sanitize(tenantId) },
    { head: "HOST", drop: 7, cell: ({ host }) => sanitize(host ?? "–") },
    { head: "RUNTIME", drop: 11, cell: ({ runtime }) => runtime },
    { head: "SYSTEMD", drop: 12, cell: ({ systemd }) => sanitize(systemd ?? "") },
    { head: "PANE", drop: 6, cell: ({ pane }) => paint(PANE_COLOURS[pane], pane === "unknown" ? "–" : pane) },
    { head: "PID", drop: 10, align: "right", cell: ({ pid }) => (pid === null ? "" : String(pid)) },
    { head: "IDLE", drop: 5, align: "right", cell: ({ idleMs }) => (idleMs === null ? "" : formatDuration(idleMs)) },
    { head: "BEAT", drop: 1, cell: (agent) => heartbeatCell(terminal, agent) },
    { head: "TRY", drop: 3, cell: attemptCell },
    { head: "SPEND", drop: 8, align: "right", cell: ({ spend }) => formatSpend(spend) },
    {
      head: "FOR",
      drop: 4,
      align: "right",
      cell: ({ since }) => (since === null ? "" : formatDuration(now.getTime() - Date.parse(since))),
    },
    { head: "WARNING", drop: 2, shrinkTo: 12, cell: (agent) => warningCell(terminal, agent) },
  ];
}

const PANE_COLOURS: Readonly<Record<AgentView["pane"], Colour>> = { alive: "green", dead: "red", unknown: "gray" };
const HEALTH: Readonly<Record<AgentView["health"], { glyph: string; colour: Colour }>> = {
  healthy: { glyph: "♥", colour: "green" },
  stale: { glyph: "✖", colour: "red" },
  unknown: { glyph: "?", colour: "gray" },
};

/** The condition is more specific than the status; a `!` remains when there is no room for the warning itself. */
function statusCell(terminal: Terminal, { status, condition, drift, bootEnable, stopped, waits }: AgentView): string {
  const style = condition === null ? undefined : CONDITION_STYLES[condition];
  const warned = drift === null && bootEnable === null && stopped === null ? "" : terminal.paint("yellow", " !");
  const queuePosition = typeof waits?.position === "number" ? `, ${waits.position + 1} in line` : "";
  if (style) return terminal.paint(style.colour, `${style.glyph} ${style.label}${queuePosition}`) + warned;
  return (status === null ? terminal.paint("gray", "◆ roster") : terminal.status(status)) + warned;
}

/** Only an agent that should be working can be late with a heartbeat; one that has delivered and ended is not unhealthy. */
const ACTIVE_STATUSES: ReadonlySet<AgentView["status"]> = new Set<AgentView["status"]>(["spawning", "running", null]);

function heartbeatCell({ paint }: Terminal, { health, heartbeatAgeMs, pane, status, condition }: AgentView): string {
  const hasEnded = pane === "dead" && !ACTIVE_STATUSES.has(status);
  // A frozen agent has no heartbeat, on purpose.
  if (heartbeatAgeMs === null || hasEnded || condition === "paused") return paint("gray", "–");
  const { glyph, colour } = HEALTH[health];
  return paint(colour, `${glyph} ${formatDuration(heartbeatAgeMs)}`);
}

function attemptCell({ attempt, maxRetries }: AgentView): string {
  return maxRetries === null ? "" : `${attempt + 1}/${maxRetries + 1}`;
}

function warningCell({ paint }: Terminal, { drift, bootEnable, stopped }: AgentView): string {
  const stopWarning = stopped && describeHold(stopped);
  const warnings = [stopWarning, drift, bootEnable].filter((warning) => warning !== null);
  return warnings.length === 0 ? "" : paint("yellow", sanitize(warnings.join("; ")));
}

/** Tasks that wait for a human come first, then unhealthy agents, then the others by progress. */
function byUrgency(a: AgentView, b: AgentView): number {
  return rank(a) - rank(b) || (b.since ?? "").localeCompare(a.since ?? "");
}

function rank({ condition, status, health, pane }: AgentView): number {
  if (condition === "needs_input") return 0;
  if (status === "running" && (health === "stale" || pane === "dead")) return 1;
  return STATUS_ORDER.indexOf(status ?? "roster") + 2;
}

const STATUS_ORDER: readonly string[] = [
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

/** Parts that do not fit are dropped, starting at the end. */
function summary({ paint, columns }: Terminal, agents: readonly AgentView[], hosts: readonly HostView[]): string {
  const needingInput = agents.filter(({ condition }) => condition === "needs_input").length;
  const running = agents.filter(({ status }) => status === "running").length;
  const lost = hosts.filter(({ state }) => state === "lost").length;
  const free = hosts.reduce((sum, host) => sum + (host.state === "up" ? host.free : 0), 0);
  const slots = hosts.reduce((sum, host) => sum + (host.state === "up" ? host.slots : 0), 0);
  const parts = [paint("bold", plural(agents.length, "agent"))];
  if (needingInput > 0) parts.push(paint("magenta", `${needingInput} waiting for you`));
  if (lost > 0) parts.push(paint("red", `${plural(lost, "host")} lost`));
  parts.push(`${running} running`);
  if (hosts.length > 0) parts.push(`${free} of ${plural(slots, "slot")} free`);
  while (parts.length > 1 && widthOf(parts.join(" · ")) > columns) parts.pop();
  return parts.join(" · ");
}
