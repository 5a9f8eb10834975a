/** Drift of the fleet itself: its clocks, its database, its always-on agents, and its machines against each other. */
import { canonicalJson } from "../text/canonical.ts";
import type { RosterAgent } from "../settings/roster.ts";
import { shellWord } from "../text/shell-word.ts";
import type { Finding, NotChecked, ObservedHost, DriftReport } from "./finding.ts";

export interface DeclaredFleet {
  readonly schedulers: readonly DeclaredScheduler[];
  readonly migrations: readonly string[];
  /** A fingerprint of each table and function that the migrations create. */
  readonly schema: Readonly<Record<string, string>>;
  readonly roster: readonly RosterAgent[];
  /** The hash of the fleet.yaml that the scanning process uses. */
  readonly configuration: string;
}

export interface DeclaredScheduler {
  readonly id: string;
  readonly everyMs?: number | undefined;
  readonly pattern?: string | undefined;
  readonly payload: unknown;
}

export interface ObservedScheduler extends DeclaredScheduler {
  readonly nextAt: Date | undefined;
}

export interface ObservedFleet {
  readonly schedulers: readonly ObservedScheduler[];
  readonly migrations: readonly string[];
  readonly schema: Readonly<Record<string, string>>;
  /** The host that ran the scan. */
  readonly host: string;
  /** The sessions of each tmux server that answered, by its socket; an empty string is the user's default server. */
  readonly sessions: ReadonlyMap<string, readonly ObservedSession[]>;
}

export interface ObservedSession {
  readonly name: string;
  readonly isDead: boolean;
  /** The pane's command, as tmux reports it. */
  readonly command: string;
  /** The names of all programs that run in the session. */
  readonly programs: readonly string[];
}

type PartialReport = Partial<Pick<DriftReport, "findings" | "subjects" | "notChecked">>;

export function compareFleet(
  declared: DeclaredFleet,
  actual: ObservedFleet,
  hosts: readonly ObservedHost[],
  now: Date,
): DriftReport {
  const parts: PartialReport[] = [
    { subjects: ["schedules"], findings: compareSchedulers(declared, actual, now) },
    { subjects: ["database"], findings: compareDatabase(declared, actual) },
    ...declared.roster.map((agent) => compareAgent(agent, actual, hosts)),
    compareHostVersions(declared.configuration, hosts),
  ];
  return {
    findings: parts.flatMap(({ findings = [] }) => findings),
    subjects: parts.flatMap(({ subjects = [] }) => subjects),
    notChecked: parts.flatMap(({ notChecked = [] }) => notChecked),
    firstSeen: [],
  };
}

/** A scheduler that is this many periods late is considered stopped. */
const MAX_PERIODS_LATE = 3;
const LATE_MS = 60_000;

function compareSchedulers(declared: DeclaredFleet, actual: ObservedFleet, now: Date): Finding[] {
  const found = new Map(actual.schedulers.map((scheduler) => [scheduler.id, scheduler]));
  const wanted = new Set(declared.schedulers.map(({ id }) => id));
  const findings = declared.schedulers.flatMap((scheduler) => {
    const observed = found.get(scheduler.id);
    const difference = {
      what: scheduler.id,
      declared: describeScheduler(scheduler),
      actual: observed ? describeScheduler(observed) : null,
    };
    if (!observed) return [fleetFinding("schedules", { ...difference, severity: "high" }, RESTART_WORKER)];
    if (difference.declared !== difference.actual) {
      return [fleetFinding("schedules", { ...difference, severity: "medium" }, RESTART_WORKER)];
    }
    const lateMs = observed.nextAt ? now.getTime() - observed.nextAt.getTime() : 0;
    if (lateMs <= Math.max(LATE_MS, MAX_PERIODS_LATE * (scheduler.everyMs ?? 0))) return [];
    const stopped = `no tick since ${observed.nextAt?.toISOString()}`;
    return [fleetFinding("schedules", { ...difference, actual: stopped, severity: "high" }, RESTART_WORKER)];
  });
  const unknown = actual.schedulers
    .filter(({ id }) => !wanted.has(id))
    .map((scheduler) =>
      fleetFinding(
        "schedules",
        { what: scheduler.id, declared: null, actual: describeScheduler(scheduler), severity: "low" },
        RESTART_WORKER,
      ),
    );
  return [...findings, ...unknown];
}

/** Workers reconcile the schedulers with what is declared when they start and on every second tick. */
const RESTART_WORKER = "fleet worker";

function describeScheduler({ everyMs, pattern, payload }: DeclaredScheduler): string {
  const pace = pattern === undefined ? `every ${everyMs ?? "?"} ms` : `at "${pattern}" UTC`;
  return `${pace}: ${canonicalJson(payload)}`;
}

function compareDatabase(declared: DeclaredFleet, actual: ObservedFleet): Finding[] {
  const applied = new Set(actual.migrations);
  const declaredNames = new Set(declared.migrations);
  const missing = declared.migrations
    .filter((name) => !applied.has(name))
    .map((name) =>
      fleetFinding(
        "database",
        { what: `migration ${name}`, declared: "applied", actual: null, severity: "high" },
        "fleet migrate",
      ),
    );
  const unexpected = actual.migrations
    .filter((name) => !declaredNames.has(name))
    .map((name) =>
      fleetFinding(
        "database",
        { what: `migration ${name}`, declared: null, actual: "applied", severity: "high" },
        "fleet doctor",
      ),
    );
  // When migrations differ, the schema differs as well: only the cause is reported.
  if (missing.length + unexpected.length > 0) return [...missing, ...unexpected];
  const objects = [...new Set([...Object.keys(declared.schema), ...Object.keys(actual.schema)])].toSorted();
  return objects.flatMap((what) => {
    const [expected = null, found = null] = [declared.schema[what], actual.schema[what]];
    if (expected === found) return [];
    const severity = expected === null ? "medium" : "high";
    return [fleetFinding("database", { what, declared: expected, actual: found, severity }, "fleet doctor")];
  });
}

/** Checks one agent of the roster. Without `host`, it may run on any host. */
function compareAgent(agent: RosterAgent, actual: ObservedFleet, hosts: readonly ObservedHost[]): PartialReport {
  const subject = `roster:${agent.name}`;
  if (agent.host !== undefined && agent.host !== actual.host) {
    const why = `it runs on ${agent.host}, and only that host can check it; this scan ran on ${actual.host}`;
    return { notChecked: [{ what: subject, why }] };
  }
  const sessions = actual.sessions.get(agent.socket ?? "");
  if (!sessions) return { notChecked: [{ what: subject, why: `the tmux server of ${agent.session} does not answer` }] };
  const session = sessions.find(({ name }) => name === agent.session);
  const elsewhere = hosts.filter(({ id }) => id !== actual.host);
  if (!session && agent.host === undefined && elsewhere.length > 0) {
    const why = `its session ${agent.session} is not on ${actual.host}, and may be on another host`;
    return { notChecked: [{ what: subject, why }] };
  }
  return {
    subjects: [subject],
    findings: session ? compareRuntime(agent, session, actual) : [missingSession(agent, actual)],
  };
}

function compareRuntime(agent: RosterAgent, session: ObservedSession, { host }: ObservedFleet): Finding[] {
  const runs = session.command === agent.runtime || session.programs.includes(agent.runtime);
  if (runs && !session.isDead) return [];
  const actual = session.isDead ? `${session.command} (dead)` : session.command;
  const difference = { what: "runtime", declared: agent.runtime, actual, severity: "high", host } as const;
  return [fleetFinding(`roster:${agent.name}`, difference, attachCommand(agent))];
}

function missingSession(agent: RosterAgent, { host }: ObservedFleet): Finding {
  const difference = { what: "session", declared: agent.session, actual: null, severity: "high", host } as const;
  return fleetFinding(`roster:${agent.name}`, difference, `${tmuxCommand(agent)} list-sessions`);
}

function attachCommand(agent: RosterAgent): string {
  return `${tmuxCommand(agent)} attach -r -t ${shellWord(`=${agent.session}`)}`;
}

function tmuxCommand({ socket }: RosterAgent): string {
  return socket === undefined ? "tmux" : `tmux -S ${shellWord(socket)}`;
}

const VERSION_SEVERITY: Readonly<Record<string, Finding["severity"]>> = { fleetwright: "high", config: "high" };

/** What most machines have is taken for declared; the configuration is that of the scanning process. */
function compareHostVersions(configuration: string, hosts: readonly ObservedHost[]): PartialReport {
  const names = [...new Set(hosts.flatMap(({ versions }) => Object.keys(versions)))].toSorted();
  const notChecked: NotChecked[] = hosts
    .filter(({ versions }) => versions["config"] === undefined)
    .map(({ id }) => ({ what: `host:${id} config`, why: "the host does not report the hash of its fleet.yaml" }));
  const findings = names.flatMap((what) => {
    const expected =
      what === "config" ? configuration : mostCommon(hosts.flatMap(({ versions }) => versions[what] ?? []));
    return hosts.flatMap(({ id, versions }) => {
      const found = versions[what];
      if (found === undefined || expected === undefined || found === expected) return [];
      const severity = VERSION_SEVERITY[what] ?? "low";
      const command = what === "config" ? "fleet doctor" : "fleet hosts";
      return [fleetFinding(`host:${id}`, { what, declared: expected, actual: found, severity, host: id }, command)];
    });
  });
  return { subjects: hosts.map(({ id }) => `host:${id}`), findings, notChecked };
}

/** Returns the most common value; of equally common ones the greatest, which for versions is usually the newest. */
function mostCommon(values: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? 1 : -1))[0]?.[0];
}

type Difference = Pick<Finding, "what" | "declared" | "actual" | "severity"> & { readonly host?: string };

function fleetFinding(subject: string, { host, ...difference }: Difference, command: string): Finding {
  return { subject, productId: null, ...difference, host: host ?? null, command };
}
