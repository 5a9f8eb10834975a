/** `kill -9` of everything that Fleetwright runs, except agents; then it is started again. */
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { z } from "zod";
import { startProgram, type Program } from "../chaos/program.ts";
import { findMarked, readProcess } from "../../src/command/process-tree.ts";
import { baseEnv } from "../../src/processes/env.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryHome } from "../support/home.ts";
import { newCheckout, runGit, testFolder } from "../support/repositories.ts";

const Credentials = z.object({ url: z.string(), token: z.string() });
const Seen = z.object({ id: z.string(), status: z.string(), branch: z.string(), attempt: z.number() });
const Invariants = z.object({ invariants: z.array(z.object({ id: z.string(), violations: z.array(z.string()) })) });

const Stops = z.object({ stops: z.array(z.object({ mode: z.string(), reason: z.string() })) });

const SLOW_MACHINE_MS = 60_000;
/** By then a kill switch must be in effect. */
const FIVE_SECONDS_MS = 5_000;
const ONE_TICK_MS = 1_500;

test(
  "when worker, API, tmux server and PostgreSQL die at once and are started again, every task is delivered once",
  { timeout: 180_000 },
  async () => {
    await using home = await temporaryHome();
    using folder = testFolder();
    const repository = newCheckout(folder.folder("shop"));
    await using stack = openStack(home.path, folder.path);

    await stack.start();
    const scripts = ["succeed", "slow:2", "slow:4"];
    const requested = await Promise.all(
      scripts.map((script) =>
        stack.call(Seen, "POST", "/spawn", { repository, description: `Do ${script}`, agentType: "stub", script }),
      ),
    );
    const read = (id: string) => stack.call(Seen, "GET", `/tasks/${id}`);
    await eventually(
      async () => ((await read(requested[2]?.id ?? "")).status === "running" ? true : undefined),
      SLOW_MACHINE_MS,
    );

    await stack.killAll();
    await stack.start();

    const ended = await eventually(async () => {
      const tasks = await Promise.all(requested.map(({ id }) => read(id)));
      return tasks.every(({ status }) => status === "ready") ? tasks : undefined;
    }, SLOW_MACHINE_MS);
    const { invariants } = await stack.call(Invariants, "GET", "/invariants");
    expect(invariants.filter(({ violations }) => violations.length > 0)).toEqual([]);
    for (const { branch } of ended) expect(stack.commitsOn(branch)).toBe(1);
  },
);

/** Uses CPU until it may continue; then it delivers. */
const spinUntil = (file: string) => [
  "sh",
  "-c",
  `while [ ! -e ${file} ]; do :; done; echo done > done.txt; git add done.txt; git commit -qm Done; git push -q origin HEAD`,
];

test(
  "a frozen tenant stays frozen while everything dies and is started again; after the release its agents deliver",
  { timeout: 180_000 },
  async () => {
    await using home = await temporaryHome();
    using folder = testFolder();
    const repository = newCheckout(folder.folder("shop"));
    await using stack = openStack(home.path, folder.path);
    await stack.start();
    const go = join(folder.path, "go");
    const how = { repository, agentType: "command", command: spinUntil(go) };
    const requests = [
      await stack.call(Seen, "POST", "/spawn", { ...how, description: "One" }),
      await stack.call(Seen, "POST", "/spawn", { ...how, description: "Two" }),
    ];
    const read = (id: string) => stack.call(Seen, "GET", `/tasks/${id}`);
    const isAll = (status: string) => async () => {
      const tasks = await Promise.all(requests.map(({ id }) => read(id)));
      return tasks.every((task) => task.status === status) || undefined;
    };
    await eventually(isAll("running"), SLOW_MACHINE_MS);
    const used = () => requests.reduce((sum, { id }) => sum + cpuOf(id), 0);

    await stack.call(Stops, "POST", "/estop", { scope: "tenant", mode: "freeze", reason: "smoke" });
    await pause(FIVE_SECONDS_MS);
    const frozenAt = used();
    await stack.killAll();
    await stack.start();
    await pause(ONE_TICK_MS);
    expect(used()).toBe(frozenAt);
    expect(frozenAt).toBeGreaterThan(0);
    expect(await stack.call(Stops, "GET", "/estop")).toMatchObject({ stops: [{ mode: "freeze", reason: "smoke" }] });

    writeFileSync(go, "");
    await stack.call(Stops, "POST", "/estop/release", { scope: "tenant" });
    await eventually(isAll("ready"), SLOW_MACHINE_MS);
  },
);

function cpuOf(taskId: string): number {
  const processes = findMarked({ name: "FLEET_TASK", value: taskId });
  return processes.reduce((sum, { pid }) => sum + (readProcess(pid)?.cpuMs ?? 0), 0);
}

function environmentOf(home: string, folder: string) {
  return {
    PATH: baseEnv()["PATH"] ?? "",
    HOME: folder,
    FLEET_HOME: home,
    FLEET_HOST_ID: "here",
    PORT: "0",
    FLEET_TICK_MS: "500",
    FLEET_HEARTBEAT_INTERVAL_MS: "1000",
  };
}

function openStack(home: string, folder: string) {
  const env = environmentOf(home, folder);
  const credentials = join(home, "credentials.json");
  const socket = join(home, "tmux", "fleet.sock");
  let up: Program | undefined;

  async function start(): Promise<void> {
    const since = Date.now();
    up = startProgram({ name: "up", args: ["up"], env, cwd: folder, logFile: join(folder, "up.log") });
    const { ended } = up;
    await Promise.race([
      eventually(
        async () => (statSync(credentials, { throwIfNoEntry: false })?.mtimeMs ?? 0) >= since || undefined,
        SLOW_MACHINE_MS,
      ),
      ended.then(() => Promise.reject(new Error(readFileSync(join(folder, "up.log"), "utf8").slice(-2_000)))),
    ]);
  }

  async function killAll(): Promise<void> {
    const postgres = Number(readFileSync(join(home, "postgres", "data", "postmaster.pid"), "utf8").split("\n")[0]);
    const tmux = Number(execFileSync("tmux", ["-S", socket, "display-message", "-p", "#{pid}"], { encoding: "utf8" }));
    for (const pid of [up?.pid ?? 0, postgres, tmux]) if (pid > 0) kill(pid);
    await up?.ended;
  }

  return {
    start,
    killAll,
    async call<Schema extends z.ZodType>(
      schema: Schema,
      method: string,
      path: string,
      body?: unknown,
    ): Promise<z.output<Schema>> {
      const { url, token } = Credentials.parse(JSON.parse(readFileSync(credentials, "utf8")));
      const response = await fetch(`${url}/api/fleet${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return schema.parse(await response.json());
    },
    commitsOn: (branch: string) => commitsOn(home, branch),
    async [Symbol.asyncDispose]() {
      up?.signal("SIGTERM");
      const hard = setTimeout(() => up?.signal("SIGKILL"), 20_000);
      await up?.ended;
      clearTimeout(hard);
      try {
        execFileSync("tmux", ["-S", socket, "kill-server"], { stdio: "ignore" });
      } catch {
        // None is running.
      }
    },
  };
}

/** Branches other than main; the forge of a checkout is a bare repository in the home directory. */
function commitsOn(home: string, branch: string): number {
  const listed = execFileSync("sh", ["-c", 'ls -d "$1"/forge/*.git', "sh", home], { encoding: "utf8" });
  const [forge = ""] = listed.split("\n");
  return Number(runGit(forge, "rev-list", "--count", `main..${branch}`));
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // The process has ended already.
  }
}
