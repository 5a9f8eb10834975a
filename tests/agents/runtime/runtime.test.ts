/**
 * The runtime starts an agent once, stops it reliably, and distinguishes what died: agent, pane, server, or only our
 * view of them.
 */
import { existsSync } from "node:fs";
import { readFile, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { v7 as newId } from "uuid";
import { expect, test } from "vitest";
import { findMarked } from "../../../src/command/process-tree.ts";
import { anAgentWorld, aRunRequest, readFacts, taskMarker, sh } from "../agent-world.ts";
import { until } from "../attempt/attempts.ts";

test("starting the same dispatch again adopts the agent and starts no second one", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn(sh("echo run >> runs; sleep 60"));

  const again = await world.agents.start(run);
  const session = `fleet-${run.taskId.slice(-8)}-0`;
  const dispatchId = (await world.tmux.listActive())[0]?.dispatchId ?? "";
  const byRuntime = await world.tmux.start({ session, dispatchId, argv: ["true"], cwd: "/" });

  expect(again.adopted).toBe(true);
  expect(byRuntime.adopted).toBe(true);
  await until(() => existsSync(join(run.path, "runs")));
  expect(await readFile(join(run.path, "runs"), "utf8")).toBe("run\n");
  await expect(world.tmux.start({ session, dispatchId: newId(), argv: ["true"], cwd: "/" })).rejects.toMatchObject({
    facts: { spawnCode: "PROCESS_FAILED" },
  });
});

test("an attempt that was closed before it started never starts", async () => {
  await using world = await anAgentWorld();
  const run = { taskId: newId(), attempt: 0 };
  await world.agents.prepareWorkspace(world.ask(run));
  await world.agents.writeAttempt(aRunRequest(run));

  const stopped = await world.agents.stop(run);

  expect(stopped).toEqual({ hadStarted: false, killed: 0, survivors: [] });
  await expect(world.agents.start(run)).rejects.toThrow(/closed before it started/);
});

test("stopping ends everything, also processes that ignore SIGTERM or left the session, and records how", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn(
    sh(`setsid sh -c 'trap "" TERM; while :; do sleep 1; done' & trap "" TERM; while :; do sleep 1; done`),
  );
  await until(() => findMarked(taskMarker(run.taskId)).length >= 3);

  const stopped = await world.agents.stop(run, { graceMs: 200 });

  expect(stopped).toMatchObject({ hadStarted: true, survivors: [] });
  expect(stopped.killed).toBeGreaterThanOrEqual(3);
  expect(findMarked(taskMarker(run.taskId))).toEqual([]);
  expect(await world.tmux.listActive()).toEqual([]);
  expect(JSON.parse(await readFile(join(run.dir, "exit.json"), "utf8"))).toMatchObject({
    signal: "SIGKILL",
    oom: false,
  });
  expect((await world.agents.observe()).facts).toEqual([]);
});

test("an agent that exits on request is not killed", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn(sh("trap 'exit 4' TERM; while :; do sleep 0.05; done"));
  await until(() => findMarked(taskMarker(run.taskId)).length > 1);

  await world.agents.stop(run);

  expect(JSON.parse(await readFile(join(run.dir, "exit.json"), "utf8"))).toMatchObject({ code: 4, signal: null });
});

test("pausing stops the whole process tree and its heartbeats; resuming continues it", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn(sh("sleep 60 & wait"));
  await until(() => findMarked(taskMarker(run.taskId)).length === 2);

  expect(await world.agents.pause(run)).toBe(true);
  await until(() => findMarked(taskMarker(run.taskId)).every(({ state }) => state === "T"));
  expect(await world.agents.resume(run)).toBe(2);

  await until(() => findMarked(taskMarker(run.taskId)).every(({ state }) => state === "S"));
});

test("when the pane is killed the agent survives and the facts distinguish the two", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn({ script: "hang" });

  await world.tmux.kill(`fleet-${run.taskId.slice(-8)}-0`);

  expect(await readFacts(world.agents, run.taskId)).toMatchObject({ pane: "missing", process: "alive", exit: null });
});

test("when the tmux server is down everything else is still known, and starting works again", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn({ script: "hang" });

  await world.tmux.shutDown();

  expect(await readFacts(world.agents, run.taskId)).toMatchObject({ pane: "missing", process: "alive" });
  const other = await world.spawn({ script: "hang" });
  expect(await readFacts(world.agents, other.taskId)).toMatchObject({ pane: "alive", process: "alive" });
});

test("a runtime that does not respond proves nothing about its agents", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn({ script: "hang" });
  await world.tmux.shutDown();
  await rm(join(world.home, "tmux/fleetwright.sock"), { force: true });
  await symlink("fleetwright.sock", join(world.home, "tmux/fleetwright.sock"));

  const { facts, problems } = await world.agents.observe();
  await rm(join(world.home, "tmux/fleetwright.sock"));

  expect(facts.find((one) => one.taskId === run.taskId)).toMatchObject({ pane: "unknown", process: "alive" });
  expect(problems.join()).toContain("tmux");
});

test("sessions and processes without a run are reported and left alone", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn({ script: "hang" });
  await rm(join(world.home, "attempts/.open"), { recursive: true });

  const orphans = await world.agents.listOrphans();

  expect(orphans.map(({ kind }) => kind).toSorted((one, other) => one.localeCompare(other))).toEqual([
    "process",
    "session",
  ]);
  expect(orphans.find(({ kind }) => kind === "process")?.taskId).toBe(run.taskId);
  expect(findMarked(taskMarker(run.taskId)).length).toBeGreaterThan(0);
});
