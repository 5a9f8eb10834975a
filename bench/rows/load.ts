/** 500 requests per second of mixed reads, from fifty tenants, to a real web process over HTTP, with a million tasks behind it. */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { toScoreLine, type ScoreLineOptions } from "../line.ts";
import { tenantOperator, sharedHistory, TENANTS } from "../million.ts";
import { pickFigure, interleave, computePercentiles, type Figures } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { stopProgram, openStack, startProgram, tokensFor } from "../stack.ts";
import type { Database } from "../world.ts";

const RATE = 500;
const P99_MS = 100;
/** Where the rate is too high, it is lowered in these steps to find a rate that holds. */
const STEPS = [500, 450, 400, 350, 300, 250, 200, 150, 100, 50];
/** Requests are sent on schedule, answered or not: a slow answer delays no other, and its waiting time counts. */
const BURST_MS = 1;
const SOCKETS = 64;

/** The requests, and how many of a hundred use each. `{id}` is a task of the tenant. */
const MIX: readonly (readonly [share: number, path: string])[] = [
  [30, "/tasks"],
  [16, "/tasks/{id}"],
  [8, "/tasks?status=merged"],
  [4, "/tasks?status=ready"],
  [6, "/tasks?mine=true"],
  [4, "/tasks?agent=codex"],
  [3, "/tasks?type=docs"],
  [3, "/tasks?text=care"],
  [2, "/tasks?text=nobody+wrote+this"],
  [2, "/tasks?host=host-3"],
  [6, "/ps"],
  [3, "/status"],
  [4, "/orders"],
  [3, "/runs"],
  [3, "/events/recent"],
  [3, "/tasks/{id}/story"],
];
const PATHS = MIX.flatMap(([share, path]) => Array.from({ length: share }, () => path));

interface Caller {
  readonly token: string;
  readonly id: string;
}

export const loadRow: BenchRow = {
  rows: ["load"],
  what: "500 requests a second of mixed reads",
  async measure(world) {
    const { database, tasks } = await sharedHistory(world);
    const rateLimits = { FLEET_RATE_PER_OPERATOR: "10000000", FLEET_RATE_PER_ADDRESS: "10000000" };
    const stack = await openStack(world, database, { env: rateLimits });
    const web = await startProgram(stack.env, ["web"]);
    world.defer(() => stopProgram(web));
    const callers = await listCallers(database, await tokensFor(stack, operators()));
    const url = `http://127.0.0.1:${stack.config.PORT}/api/fleet`;
    const refused = new Map<string, number>();
    const ms = world.size(4_000, 1_000);
    const options = { url, callers, refused, ms, rate: RATE };
    const mixed = (round: number) => drive({ ...options, paths: PATHS }, round);
    const byKey = (round: number) => drive({ ...options, paths: ["/tasks/{id}"], ms: ms / 2 }, round);
    await mixed(0);

    const before = readCpuMs(web.pid);
    const samples = await interleave(world.rounds, mixed, byKey);
    const reads = world.rounds * Math.round((RATE * ms * 1.5) / 1_000);
    const spent = (readCpuMs(web.pid) - before) / reads;
    const held = await sustainableRate((rate) => drive({ ...options, paths: PATHS, rate }, world.rounds));
    const notes = [
      `the web process spent ${spent.toFixed(2)} ms of a processor on a read`,
      `next to PostgreSQL and the load generator, it sustains ${held} reads/s with p99 ≤ ${P99_MS} ms`,
    ];
    await stopProgram(web);
    const wrong = [...refused].map(([why, count]) => `${count} × ${why}`);
    const labels = (what: string): Pick<ScoreLineOptions, "row" | "what" | "reference" | "wrong"> => ({
      row: "load",
      what: `${RATE} reads/s, ${tasks.toLocaleString("en-US")} tasks, ${what}`,
      reference: "only GET /tasks/:task",
      wrong,
    });
    const value = (what: string, name: string, unit: string, target: ScoreLineOptions["target"]) =>
      toScoreLine(
        {
          ...labels(what),
          unit,
          notes: name === "rate" ? notes : [],
          compared: "value",
          ...(target ? { target } : {}),
          reason: "one process reads, parses, checks and writes every answer; its time per read is below",
        },
        pickFigure(samples.ours, name),
        pickFigure(samples.theirs, name),
      );
    return [
      value("p50", "p50", "ms", { atMost: 10 }),
      value("p99", "p99", "ms", { atMost: P99_MS }),
      value("answered", "rate", "/s", { atLeast: RATE * 0.98 }),
    ];
  },
};

/** The largest step at which answers keep up with requests, and few are late. */
async function sustainableRate(driveAt: (rate: number) => Promise<Figures>): Promise<number> {
  for (const rate of STEPS) {
    const { p99 = Infinity, rate: answered = 0 } = await driveAt(rate);
    if (p99 <= P99_MS && answered >= rate * 0.95) return rate;
  }
  return 0;
}

/** The CPU time a process has used so far; the kernel counts in hundredths of a second. */
function readCpuMs(pid: number | undefined): number {
  const fields =
    readFileSync(`/proc/${pid ?? "self"}/stat`, "utf8")
      .split(") ")[1]
      ?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function operators() {
  return Array.from({ length: TENANTS * 2 }, (_, at) => tenantOperator(at % TENANTS, Math.floor(at / TENANTS)));
}

/** Each caller with a task of their tenant to request by its id. */
async function listCallers(database: Database, tokens: readonly string[]): Promise<Caller[]> {
  const rows = await database.query(
    `select (select id from fleet_tasks t where t.tenant_id = o.tenant_id and t.removed_at is null order by created_at desc limit 1) as id
     from (select distinct tenant_id from operators where starts_with(tenant_id, 'tenant-')) o order by tenant_id`,
  );
  return tokens.map((token, at) => ({ token, id: String(rows[at % TENANTS]?.["id"]) }));
}

interface LoadOptions {
  readonly url: string;
  readonly callers: readonly Caller[];
  readonly paths: readonly string[];
  readonly ms: number;
  /** Requests per second. */
  readonly rate: number;
  /** The responses other than 200, with their counts. */
  readonly refused: Map<string, number>;
}

/** Sends at the rate for this long; each wait counts from when its request was due, not from when it found a socket. */
async function drive({ url, callers, paths, ms, rate, refused }: LoadOptions, round: number): Promise<Figures> {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS });
  const waits: number[] = [];
  const answers: Promise<void>[] = [];
  const record = async (one: { status: Promise<string>; path: string; dueAt: number }) => {
    const status = await one.status;
    waits.push(performance.now() - one.dueAt);
    if (status === "200") return;
    const why = `${status} ${one.path}`;
    refused.set(why, (refused.get(why) ?? 0) + 1);
  };
  const from = performance.now();
  const total = Math.round((rate * ms) / 1_000);
  try {
    for (let sent = 0; sent < total;) {
      const due = Math.min(total, Math.ceil(((performance.now() - from) / 1_000) * rate));
      for (; sent < due; sent += 1) {
        const dueAt = from + (sent / rate) * 1_000;
        // Every caller sends every request over time, because the two lists rotate at different speeds.
        const caller = callers[(sent + Math.floor(sent / callers.length) * 7 + round) % callers.length];
        const path = paths[(sent * 37 + round * 11) % paths.length] ?? "";
        if (!caller) continue;
        answers.push(
          record({ status: sendRequest(agent, `${url}${path.replace("{id}", caller.id)}`, caller.token), path, dueAt }),
        );
      }
      await pause(BURST_MS);
    }
    await Promise.all(answers);
  } finally {
    agent.destroy();
  }
  return { ...computePercentiles(waits), rate: total / ((performance.now() - from) / 1_000) };
}

/** The status, or why there was none; the whole answer was read. */
async function sendRequest(agent: Agent, url: string, token: string): Promise<string> {
  return new Promise((resolve) => {
    const outgoing = request(url, { agent, headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume();
      response.on("end", () => resolve(String(response.statusCode)));
      response.on("error", (error) => resolve(error.message));
    });
    outgoing.on("error", (error) => resolve(error.message));
    outgoing.end();
  });
}
