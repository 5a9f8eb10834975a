/** The supervisor starts an agent once, reports truthfully on it, and passes it nothing from its own environment. */
import { existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readAttemptLog } from "../../../src/agents/attempt/attempt-log.ts";
import { fenceAttempt, readAttempt, shredAttemptDir, touchProbe } from "../../../src/agents/attempt/attempt-dir.ts";
import { findMarked, isAlive, readProcess } from "../../../src/command/process-tree.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryHome } from "../../support/home.ts";
import { aRun, waitUntilStarted, supervise, until } from "./attempts.ts";

const PROMPT_BYTES = 100_000;

async function logOf(dir: string): Promise<string> {
  return (await readAttemptLog(dir, { tailBytes: 1_000_000 })).bytes.toString();
}

test("the agent gets its prompt on stdin, which is then closed, and its output is stored", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "wc -c; echo error >&2", { prompt: "é".repeat(PROMPT_BYTES / 2) });
  await using supervisor = supervise(run);

  expect(await supervisor.ended).toBe(0);

  expect((await logOf(run.dir)).split("\n").map((line) => line.trim())).toEqual([String(PROMPT_BYTES), "error", ""]);
  expect(readAttempt(run.dir).exit).toMatchObject({ code: 0, signal: null, oom: false });
});

test("the agent's environment is what it was given and nothing of the worker's", async () => {
  await using home = await temporaryHome();
  const hostile = "it's $(touch hacked) `id` \"\n; new line";
  const run = await aRun(home.path, "env -0 > env.out", { env: { PATH: "/usr/bin:/bin", RUN: "x", SECRET: hostile } });
  await using supervisor = supervise(run);

  expect(await supervisor.ended).toBe(0);

  const env = (await readFile(join(run.spec.cwd, "env.out"), "utf8")).split("\0").filter(Boolean);
  const names = env.map((entry) => entry.split("=")[0]).filter((name) => name !== "_");
  expect(new Set(names)).toEqual(new Set(["FLEET_TASK", "FLEET_RUN", "PATH", "PWD", "RUN", "SECRET"]));
  expect(env).toContain(`SECRET=${hostile}`);
  expect(env).toContain(`FLEET_TASK=${run.spec.taskId}`);
});

test("the file with the secrets is deleted as soon as the agent runs, and everything else is private", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "umask > umask.new; mv umask.new umask.out; sleep 30");
  await using _ = supervise(run);
  await waitUntilStarted(run.dir);
  // Its process exists slightly before it is the agent: the shell that execs it reads the secrets first.
  await until(() => existsSync(join(run.spec.cwd, "umask.out")));

  await expect(stat(join(run.dir, "env"))).rejects.toThrow("ENOENT");
  expect(((await stat(join(run.dir, "output.log"))).mode & 0o777).toString(8)).toBe("600");
  expect(((await stat(run.dir)).mode & 0o777).toString(8)).toBe("700");
  await until(() => readProcess(readAttempt(run.dir).process?.pid ?? 0) !== undefined);
  expect((await readFile(join(run.spec.cwd, "umask.out"), "utf8")).trim()).toBe("0077");
});

test("the agent leads its own session and has the default signal handlers", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "grep SigIgn /proc/self/status > ignored; sleep 30");
  await using _ = supervise(run);
  const agent = await waitUntilStarted(run.dir);
  await until(() => findMarked(run.marker).length > 1);

  expect(readProcess(agent.pid)).toMatchObject({ pgid: agent.pid, session: agent.pid, startTime: agent.startTime });
  const ignored = BigInt(`0x${(await readFile(join(run.spec.cwd, "ignored"), "utf8")).split(/\s+/)[1]}`);
  // HUP 1, INT 2, QUIT 3, TERM 15, TSTP 20
  for (const signal of [1n, 2n, 3n, 15n, 20n]) expect(ignored & (1n << (signal - 1n))).toBe(0n);
});

test("heartbeats come at once, then at each interval, and carry progress", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "while :; do echo tick; sleep 0.05; done");
  await using _ = supervise(run);
  await waitUntilStarted(run.dir);
  const first = readAttempt(run.dir).heartbeat;

  await until(() => Number(readAttempt(run.dir).heartbeat?.extra["out_bytes"]) > 10);

  const later = readAttempt(run.dir).heartbeat;
  expect(later?.ts.getTime()).toBeGreaterThan(first?.ts.getTime() ?? Infinity);
  expect(later).toMatchObject({ pid: first?.pid, status: "busy" });
  expect(new Date(later?.extra["last_output"] ?? "").getTime()).not.toBeNaN();
});

test("a probe is answered at once although the next heartbeat is far away", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "sleep 30", { heartbeatIntervalMs: 600_000 });
  await using _ = supervise(run);
  await waitUntilStarted(run.dir);
  const first = readAttempt(run.dir).heartbeat?.ts.getTime() ?? Infinity;

  await touchProbe(run.dir);

  await until(() => (readAttempt(run.dir).heartbeat?.ts.getTime() ?? 0) > first, 3_000);
  expect(readAttempt(run.dir).heartbeat?.status).toBe("ok");
});

test("an agent that is stopped sends no heartbeat until it continues", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "sleep 30");
  await using _ = supervise(run);
  const { pid } = await waitUntilStarted(run.dir);
  process.kill(pid, "SIGSTOP");
  await until(() => readProcess(pid)?.state === "T");
  await new Promise((resolve) => setTimeout(resolve, 300)); // One heartbeat may already have begun.
  const frozen = readAttempt(run.dir).heartbeat?.ts.getTime() ?? 0;

  await new Promise((resolve) => setTimeout(resolve, 700));

  expect(readAttempt(run.dir).heartbeat?.ts.getTime()).toBe(frozen);
  process.kill(pid, "SIGCONT");
  await until(() => (readAttempt(run.dir).heartbeat?.ts.getTime() ?? 0) > frozen);
});

test("kill -9 of the agent is recorded as such", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "sleep 30");
  await using supervisor = supervise(run);
  const { pid } = await waitUntilStarted(run.dir);

  process.kill(pid, "SIGKILL");
  await supervisor.ended;

  expect(readAttempt(run.dir).exit).toMatchObject({ code: 137, signal: "SIGKILL", oom: true });
});

test("kill -9 of the supervisor ends the heartbeats: an agent without a supervisor sends none", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "sleep 30");
  await using supervisor = supervise(run);
  const { pid } = await waitUntilStarted(run.dir);

  process.kill(supervisor.pid, "SIGKILL");
  await new Promise((resolve) => setTimeout(resolve, 500)); // One heartbeat may already have begun.
  const last = readAttempt(run.dir).heartbeat?.ts.getTime();
  await new Promise((resolve) => setTimeout(resolve, 500));

  expect(readAttempt(run.dir).heartbeat?.ts.getTime()).toBe(last);
  expect(readAttempt(run.dir).exit).toBeUndefined();
  expect(isAlive(pid)).toBe(true);
});

test("the supervisor ignores HUP and INT, and passes TERM on to the agent", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "trap 'echo asked; exit 7' TERM; echo ready; sleep 30 & wait");
  await using supervisor = supervise(run);
  await waitUntilStarted(run.dir);
  await eventually(async () => (await logOf(run.dir)).includes("ready") || undefined);

  process.kill(supervisor.pid, "SIGHUP");
  process.kill(supervisor.pid, "SIGINT");
  process.kill(supervisor.pid, "SIGTERM");

  expect(await supervisor.ended).toBe(7);
  expect(await logOf(run.dir)).toBe("ready\nasked\n");
  expect(readAttempt(run.dir).exit).toMatchObject({ code: 7, signal: null });
});

test("a program that does not exist exits with 127 and an explanation in the log", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "", { spec: { argv: ["no-such-agent"] } });
  await using supervisor = supervise(run);

  expect(await supervisor.ended).toBe(127);

  expect(readAttempt(run.dir).exit).toMatchObject({ code: 127 });
  expect(await logOf(run.dir)).toContain("no-such-agent");
});

test("a process that outlives the agent and holds its output open does not hide the exit", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "setsid sleep 30 & exit 3");
  await using supervisor = supervise(run);

  expect(await supervisor.ended).toBe(3);

  expect(readAttempt(run.dir).exit).toMatchObject({ code: 3 });
  expect(findMarked(run.marker)).toHaveLength(1);
});

test("when an attempt is started and closed at once, only one of the two succeeds", async () => {
  await using home = await temporaryHome();
  const rounds: { outcome: string; exit: number | null; ran: boolean }[] = [];
  for (let round = 0; round < 12; round += 1) {
    const run = await aRun(home.path, "touch ran-$FLEET_TASK");
    await using supervisor = supervise(run);
    if (round % 3 > 0) await new Promise((resolve) => setTimeout(resolve, round % 6));
    const outcome = await fenceAttempt(run.dir);
    const exit = await supervisor.ended;
    rounds.push({ outcome, exit, ran: existsSync(join(run.spec.cwd, `ran-${run.spec.taskId}`)) });
  }

  const closed = { outcome: "closed", exit: 75, ran: false };
  const ran = { outcome: "had-started", exit: 0, ran: true };
  expect(rounds).toContainEqual(closed);
  expect(rounds.filter((round) => round.outcome === "closed")).toEqual(
    rounds.filter(({ ran: it }) => !it).map(() => closed),
  );
  expect(rounds.filter((round) => round.outcome !== "closed")).toEqual(
    rounds.filter(({ ran: it }) => it).map(() => ran),
  );
});

test("a second supervisor for the same run starts nothing", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "echo run >> runs; sleep 30");
  await using _ = supervise(run);
  await waitUntilStarted(run.dir);

  await using second = supervise(run);

  expect(await second.ended).toBe(75);
  await until(() => findMarked(run.marker).length > 1);
  expect(await readFile(join(run.spec.cwd, "runs"), "utf8")).toBe("run\n");
});

test("a flood of output is capped on disk, and its offsets stay correct", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "seq 1 1500000; echo end");
  const settings = join(run.dir, "run.sh");
  await writeFile(
    settings,
    (await readFile(settings, "utf8")).replace(/fleet_log_bytes=\d+/, "fleet_log_bytes=2000000"),
  );
  await using supervisor = supervise(run);

  await supervisor.ended;

  const { bytes, from, next, total } = await readAttemptLog(run.dir, { tailBytes: 10_000 });
  const whole = Array.from({ length: 1_500_000 }, (_, at) => String(at + 1).length + 1).reduce(
    (sum, size) => sum + size,
    4,
  );
  expect({ total, next, from }).toEqual({ total: whole, next: whole, from: whole - 10_000 });
  expect(bytes.toString().endsWith("1499999\n1500000\nend\n")).toBe(true);
  // 256 reads of 64 KiB may come between two checks of the size.
  const onDisk = (await stat(join(run.dir, "output.log"))).size + (await stat(join(run.dir, "output.log.1"))).size;
  expect(onDisk).toBeLessThan(2 * (1_000_000 + 256 * 65_536));
});

test("prompt and secrets are overwritten and deleted when a start is undone", async () => {
  await using home = await temporaryHome();
  const run = await aRun(home.path, "true", { env: { KEY: "secret" } });

  await shredAttemptDir(run.dir);

  await expect(stat(join(run.dir, "env"))).rejects.toThrow("ENOENT");
  await expect(stat(join(run.dir, "prompt"))).rejects.toThrow("ENOENT");
});
