/**
 * A real Fleet for tests: its own database, queue prefix, home directory and tmux server; everything is removed
 * afterwards.
 */
import { randomBytes } from "node:crypto";
import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { inject } from "vitest";
import { hostProcessor, PROCESSORS } from "../../processors/index.ts";
import { openTmux } from "../../src/agents/runtime/tmux.ts";
import { findMarked, killTree } from "../../src/command/process-tree.ts";
import type { Fleet, Logger } from "../../src/conductor/fleet.ts";
import { runHostDuties, tickHost, type HostTick } from "../../src/conductor/monitor/host.ts";
import { sweepShard } from "../../src/conductor/monitor/sweep.ts";
import { requestSpawn } from "../../src/conductor/attempts/spawn.ts";
import { readConfig, type Config } from "../../src/environment.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { createRedactor } from "../../src/domain/text/redact.ts";
import { Product } from "../../src/domain/product.ts";
import { parseSettings, type Settings } from "../../src/domain/settings/settings.ts";
import { SpawnRequest } from "../../src/domain/task/spawn.ts";
import type { Task, TaskStatus } from "../../src/domain/task/task.ts";
import { openLog } from "../../src/log.ts";
import { migrateQueueBackend } from "../../src/broker/broker.ts";
import { openFleet, type OpenFleet } from "../../src/processes/fleet.ts";
import { startWorker, type RunningWorker } from "../../src/processes/worker.ts";
import { upsertOperator } from "../../src/store/operators.ts";
import { claimHints } from "../../src/store/outbox.ts";
import { getTask } from "../../src/store/tasks.ts";
import { anOperator } from "./builders.ts";
import { testDatabase, type TestDatabase } from "./database.ts";
import { temporaryHome } from "./home.ts";
import { newCheckout } from "./repositories.ts";

export interface TestFleetOptions {
  readonly queues?: "redis" | "postgres";
  /** As in fleet.yaml, over defaults for tests: no delay before a retry, the stub reviewer. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly slots?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Parts of the Fleet to replace: its clock, its randomness, its fault points. */
  readonly parts?: Partial<Fleet>;
}

/** One process of the fleet. */
export interface TestProcess {
  readonly fleet: Fleet;
  readonly open: OpenFleet;
}

export interface TestFleet extends TestProcess, AsyncDisposable {
  readonly home: string;
  readonly config: Config;
  readonly databaseUrl: string;
  /** The output of the terminal channel. */
  readonly lines: string[];
  /** The log lines of level warn or error. */
  readonly logged: { level: "warn" | "error"; facts: Record<string, unknown>; message: string }[];
  /** As the superuser, bypassing row security and the app's triggers. */
  readonly query: TestDatabase["query"];
  /** A stored operator of a new tenant. */
  operator(operator?: Partial<Operator>): Promise<Operator>;
  /** A checkout that is a product whose check runs what agents leave in `checks/`; returns its path. */
  aRepository(product?: { readonly test?: string | null; readonly validate?: string }): Promise<string>;
  spawn(by: Operator, ask: Partial<SpawnRequest> & { repository: string }, key?: string): Promise<Task>;
  read(taskId: string): Promise<Task>;
  /** This host's tick, and then its duties. */
  tick(process?: TestProcess): Promise<HostTick & { readonly ended: number; readonly cleaned: number }>;
  /** Processes the hints in the outbox at once, ignoring delays; returns how many there were. */
  processHints(process?: TestProcess): Promise<number>;
  /** Processes hints, ticks and sweeps in turn until the task has reached `status`. */
  runUntil(taskId: string, status: TaskStatus | readonly TaskStatus[], withinMs?: number): Promise<Task>;
  /** A second process over the same stores: another host unless `env` says otherwise. */
  another(more?: Pick<TestFleetOptions, "env" | "parts">): Promise<TestProcess>;
  /** A real worker with fast ticks, drained at the end. */
  startWorker(process?: TestProcess, queues?: readonly string[]): Promise<RunningWorker>;
  /** The live processes of this task. */
  processesOf(taskId: string): number[];
}

const SETTINGS = {
  retry: { baseDelayMs: 0, capMs: 100 },
  reviewers: [{ name: "tidy", type: "stub", role: "leftovers" }],
};
const TICK_MS = 300;
/** Runs the check that the stub agent left; without one, it passes. */
export const CHECK = 'for check in checks/*.sh; do [ -e "$check" ] || continue; sh "$check" || exit 1; done';

export async function testFleet(options: TestFleetOptions = {}): Promise<TestFleet> {
  const farm = await openFarm(options);
  const { database, config, lines, logged, start } = farm;
  const own = await start();
  const { fleet } = own;
  const read = (taskId: string) => fleet.store.asSystem((tx) => getTask(tx, taskId));
  await tickOnce(own);

  return {
    ...own,
    home: config.FLEET_HOME,
    config,
    databaseUrl: database.url,
    lines,
    logged,
    query: (text, values) => database.query(text, values),
    async operator(operator = {}) {
      const made = anOperator(operator);
      await fleet.store.asSystem((tx) => upsertOperator(tx, made));
      return made;
    },
    aRepository: (product) => aProduct(farm, product),
    async spawn(by, ask, key) {
      const request = SpawnRequest.parse({
        description: "Make a change.",
        agentType: "stub",
        script: "succeed",
        ...ask,
      });
      return (await requestSpawn(fleet, by, request, key)).task;
    },
    read,
    tick: (ticking = own) => tickOnce(ticking),
    processHints: ({ fleet: answering } = own) => processHints(answering),
    runUntil: (taskId, status, withinMs = 30_000) => runUntil(own, () => read(taskId), [status].flat(), withinMs),
    another: ({ env = {}, parts = {} } = {}) => start({ FLEET_HOST_ID: "there", ...env }, parts),
    async startWorker({ open } = own, only) {
      const worker = await startWorker(open, { tickMs: TICK_MS, versions: {}, queues: only });
      farm.workers.push(worker);
      return worker;
    },
    processesOf: (value) => findMarked({ name: "FLEET_TASK", value }).map(({ pid }) => pid),
    [Symbol.asyncDispose]: () => closeFarm(farm),
  };
}

type TestFarm = Awaited<ReturnType<typeof openFarm>>;

/** Separate stores and a home directory, and how a process over them is started. */
async function openFarm(options: TestFleetOptions) {
  const database = await testDatabase();
  const home = await temporaryHome();
  const prefix = `t${randomBytes(5).toString("hex")}`;
  const queues = options.queues ?? "redis";
  if (queues === "postgres") await migrateQueueBackend(database.url, prefix);
  const settings = settingsFor(options.settings);
  const lines: string[] = [];
  const logged: TestFleet["logged"] = [];
  const processes: OpenFleet[] = [];
  const workers: RunningWorker[] = [];

  const makeConfig = (env: Readonly<Record<string, string>> = {}) =>
    readConfig(
      {
        DATABASE_URL: database.url,
        ...(queues === "redis" ? { REDIS_URL: inject("redisUrl") } : {}),
        FLEET_HOME: join(home.path, "fleet"),
        FLEET_SCHEDULES: join(home.path, "schedules"),
        FLEET_QUEUE_PREFIX: prefix,
        FLEET_HEARTBEAT_INTERVAL_MS: "300",
        FLEET_TICK_MS: String(TICK_MS),
        FLEET_SLOTS: String(options.slots ?? 8),
        FLEET_HOST_ID: "here",
        PORT: "0",
        ...options.env,
        ...env,
      },
      { homeDir: home.path, hostName: "here" },
    );

  async function start(env: Readonly<Record<string, string>> = {}, parts: Partial<Fleet> = {}): Promise<TestProcess> {
    const open = await openFleet({
      config: makeConfig(env),
      log: await openLog({ level: "silent" }),
      write: (line) => lines.push(line),
      statementTimeoutMs: 30_000,
      settings,
    });
    processes.push(open);
    const replaced: Partial<Fleet> = { ...options.parts, ...parts };
    // What a process masks follows from the secrets that it hands out.
    const masks = replaced.secrets && { redactor: createRedactor({ values: replaced.secrets.allSecretValues() }) };
    const fleet: Fleet = { ...open.fleet, log: recordLog(logged), ...masks, ...replaced };
    return { fleet, open: { ...open, fleet } };
  }

  const config = makeConfig();
  await mkdir(config.FLEET_HOME, { recursive: true });
  return { database, home, config, settings, lines, logged, processes, workers, start };
}

async function closeFarm({ workers, processes, database, config, home }: TestFarm): Promise<void> {
  await Promise.all(workers.map((worker) => worker.drain()));
  await killAgents(database, config);
  await Promise.all(processes.map((open) => open.close()));
  await database[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
}

async function aProduct(
  { home, settings }: TestFarm,
  { test = CHECK, validate }: { readonly test?: string | null; readonly validate?: string } = {},
): Promise<string> {
  const repository = join(await realpath(home.path), `shop-${randomBytes(3).toString("hex")}`);
  newCheckout(repository);
  const commands = {
    ...(test ? { test: ["sh", "-c", test] } : {}),
    ...(validate ? { validate: ["sh", "-c", validate] } : {}),
  };
  settings.products.push(Product.parse({ id: repository.slice(-11), repository, commands, ci: { timeoutMinutes: 1 } }));
  return repository;
}

async function tickOnce({ fleet }: TestProcess) {
  const seen = await tickHost(fleet, { tickMs: 60_000, versions: {}, load: 0, diskFreeMb: 10_000 });
  const tended = seen.reporting ? await runHostDuties(fleet) : undefined;
  return { ...seen, ended: 0, cleaned: 0, ...tended };
}

async function runUntil(
  own: TestProcess,
  read: () => Promise<Task>,
  wanted: readonly string[],
  withinMs: number,
): Promise<Task> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const task = await read();
    if (wanted.includes(task.status)) return task;
    if (Date.now() > deadline || task.completedAt) {
      const { condition, failureContext: why } = task;
      const found = `${task.status} (${condition})`;
      throw new Error(`It is ${found}, not ${wanted.join(" or ")}: ${why?.reason} ${why?.summary}`);
    }
    // Checked after each job, since the next one may leave that status.
    if ((await processHints(own.fleet)) > 0) continue;
    await tickOnce(own);
    await sweepShard(own.fleet, { shard: 0, of: 1 });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function settingsFor(more: TestFleetOptions["settings"] = {}): Settings {
  const parsed = parseSettings({ ...SETTINGS, ...more });
  if (!parsed.ok) throw new Error(parsed.problems.map(({ path, message }) => `${path}: ${message}`).join("; "));
  return parsed.settings;
}

/** Runs each hint once, by the processor of its queue, as a worker would; the test handles a refusal. */
async function processHints(fleet: Fleet): Promise<number> {
  const rows = await fleet.store.asSystem((tx) => claimHints(tx, 100));
  // The time of a delayed retry has come.
  await Promise.all(
    rows.map(async ({ topic, payload }) => {
      const processor = [...PROCESSORS, hostProcessor(fleet.host.id)].find(({ queue }) => queue.name === topic);
      await processor?.handle(fleet, payload, new AbortController().signal);
    }),
  );
  return rows.length;
}

function recordLog(logged: TestFleet["logged"]): Logger {
  const note = (level: "warn" | "error") => (facts: object, message: string) =>
    void logged.push({ level, facts: { ...facts }, message });
  return { debug: () => {}, info: () => {}, warn: note("warn"), error: note("error") };
}

/** Ends all remaining processes, and a process that survives even that fails the test. */
async function killAgents(
  database: TestDatabase,
  { FLEET_HOME: home, FLEET_TMUX_SOCKET: socket }: Config,
): Promise<void> {
  await openTmux({ home, socket }).shutDown();
  const left: number[] = [];
  for (const { id } of await database.query("select id from fleet_tasks")) {
    const marker = { name: "FLEET_TASK", value: String(id) };
    if (findMarked(marker).length === 0) continue;
    await killTree([], { graceMs: 0, marker });
    left.push(...findMarked(marker).map(({ pid }) => pid));
  }
  if (left.length > 0) throw new Error(`Processes survive the test: ${left.join(", ")}`);
}
