/** The host's tick: one batch of facts, then the duties of this machine, which follow from rows so that nothing is lost. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "pg";
import { expect, test } from "vitest";
import { z } from "zod";
import { stopTask } from "../../../src/conductor/tasks/stop.ts";
import { releaseHostLease } from "../../../src/conductor/monitor/host.ts";
import { upsertFacts } from "../../../src/store/heartbeats.ts";
import { someAgentFacts } from "../../support/builders.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

async function running(fleet: TestFleet, count: number) {
  const by = await fleet.operator();
  const repository = await fleet.aRepository();
  const tasks = [];
  for (let at = 0; at < count; at += 1) tasks.push(await fleet.spawn(by, { repository, script: "hang" }));
  for (const { id } of tasks) await fleet.runUntil(id, "running");
  return { by, tasks, repository };
}

test("the facts of all agents are one statement", async () => {
  await using fleet = await testFleet();
  const { tasks } = await running(fleet, 3);
  const batch = await Promise.all(tasks.map(async ({ id }) => someAgentFacts(await fleet.read(id))));
  const statements: string[] = [];

  const written = await fleet.fleet.store.asSystem((tx) => {
    const run = tx.run.bind(tx);
    const spied: typeof tx = {
      ...tx,
      run: (text, ...values) => {
        statements.push(text.join("?"));
        return run(text, ...values);
      },
    };
    return upsertFacts(spied, "here", batch);
  });

  expect(written).toBe(3);
  expect(statements).toHaveLength(1);
});

test("of two workers on one machine one reports, and the other takes over when the first has stopped", async () => {
  await using fleet = await testFleet();
  const second = await fleet.another({ env: { FLEET_HOST_ID: "here" } });

  expect((await fleet.tick()).reporting).toBe(true);
  expect((await fleet.tick(second)).reporting).toBe(false);
  await releaseHostLease(fleet.fleet);

  expect((await fleet.tick(second)).reporting).toBe(true);
  expect((await fleet.tick()).reporting).toBe(false);
});

test("an attempt that is no longer current is ended with its children; other agents keep running", async () => {
  await using fleet = await testFleet();
  const { by, tasks } = await running(fleet, 2);
  const [gone, stays] = tasks;
  await stopTask(fleet.fleet, by, await fleet.read(gone?.id ?? ""));
  await fleet.query("delete from outbox where topic like 'host.%'");

  const tick = await fleet.tick();

  expect(tick).toMatchObject({ ended: 1, cleaned: 1 });
  expect(fleet.processesOf(gone?.id ?? "")).toEqual([]);
  expect(fleet.processesOf(stays?.id ?? "")).not.toEqual([]);
  expect((await fleet.tick()).ended).toBe(0);
});

test("unsaved work of an ended task is saved, and the audit log says how to restore it", async () => {
  await using fleet = await testFleet();
  const { by, tasks } = await running(fleet, 1);
  const task = await fleet.read(tasks[0]?.id ?? "");
  const work = join(task.workspacePath ?? "", "work-in-progress.txt");
  writeFileSync(work, "three days of work\n");

  await stopTask(fleet.fleet, by, task);
  await fleet.tick();

  expect(existsSync(work)).toBe(false);
  expect((await fleet.read(task.id)).workspacePath).toBeNull();
  const [entry] = await fleet.query("select detail from audit_log where action = 'workspace.removed'");
  const { snapshot } = z
    .object({ snapshot: z.object({ dir: z.string(), restoreCommand: z.string() }) })
    .parse(entry?.["detail"]);
  expect(existsSync(snapshot.dir)).toBe(true);
  expect(snapshot.restoreCommand).toContain("git");
});

test("a working copy that is not safe to remove is retained, retried a few times, and then left for a person", async () => {
  await using fleet = await testFleet();
  const { by, tasks } = await running(fleet, 1);
  const task = await fleet.read(tasks[0]?.id ?? "");
  const path = task.workspacePath ?? "";
  // There is no remote to save it to.
  writeFileSync(join(fleet.home, "snapshots"), "");
  writeFileSync(join(path, "precious.txt"), "who knows\n");

  await stopTask(fleet.fleet, by, task);
  for (let tick = 0; tick < 7; tick += 1) await fleet.tick();

  expect(existsSync(join(path, "precious.txt"))).toBe(true);
  const entries = await fleet.query("select action from audit_log where action like 'workspace.%'");
  expect(entries).toEqual(Array.from({ length: 5 }, () => ({ action: "workspace.kept" })));
  expect(await fleet.read(task.id)).toMatchObject({ metadata: { workspaceKept: expect.any(String) } });
});

test("agents outlive the worker, and the next worker of their host adopts them", async () => {
  await using fleet = await testFleet();
  const { tasks } = await running(fleet, 1);
  const id = tasks[0]?.id ?? "";
  const [agent] = (await fleet.fleet.agents.observe()).facts;
  await releaseHostLease(fleet.fleet);

  const next = await fleet.another({ env: { FLEET_HOST_ID: "here" } });
  const tick = await fleet.tick(next);

  expect(tick).toMatchObject({ reporting: true, agents: 1, ended: 0, orphans: [] });
  expect(fleet.processesOf(id)).toContain(agent?.pid);
  expect(await fleet.read(id)).toMatchObject({ status: "running", attempt: 0 });
});

test("a process without a row is reported as an orphan, and left alone", async () => {
  await using fleet = await testFleet();
  const { tasks } = await running(fleet, 1);
  const id = tasks[0]?.id ?? "";
  const [agent] = (await fleet.fleet.agents.observe()).facts;
  const client = new Client({ connectionString: fleet.databaseUrl });
  await client.connect();
  // As after a restore of an older backup: the agent runs, and its row is missing.
  await client.query("set session_replication_role = replica");
  await client.query("delete from heartbeats");
  await client.query("delete from attempts");
  await client.end();

  await fleet.tick();

  expect(fleet.processesOf(id)).toContain(agent?.pid);
});
