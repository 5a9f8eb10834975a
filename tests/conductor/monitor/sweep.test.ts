/**
 * The monitor at work: which facts it collects about real agents, and what follows. The rules themselves are tested
 * in tests/domain.
 */
import { expect, test } from "vitest";
import { killTree } from "../../../src/command/process-tree.ts";
import { sweepShard } from "../../../src/conductor/monitor/sweep.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { commitFiles, runGit } from "../../support/repositories.ts";

const ALL = { shard: 0, of: 1 };

async function running(fleet: TestFleet, script: string, more: object = {}) {
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), script, ...more });
  return fleet.runUntil(id, "running");
}

test.each([
  ["exit-0-no-work", "no_evidence"],
  ["lie", "no_evidence"],
  ["exit-1", "agent_error"],
])("an agent that plays %s has delivered nothing, whatever it says", async (script, failureClass) => {
  await using fleet = await testFleet();
  const { id } = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository(), script });

  const failed = await fleet.runUntil(id, "failed");

  expect(failed.failureContext).toMatchObject({ class: failureClass });
  expect(await fleet.query("select number from pull_requests")).toEqual([]);
});

test("commits that an agent did not push are published on its behalf", async () => {
  await using fleet = await testFleet();
  const repository = await fleet.aRepository();
  const { id } = await fleet.spawn(await fleet.operator(), { repository, script: "succeed-no-push" });

  const ready = await fleet.runUntil(id, "ready");

  const { gitDir } = await fleet.fleet.forges.of(repository).ensure(repository);
  expect(runGit(gitDir, "rev-parse", ready.branch)).toBe(ready.headSha);
});

test("an agent that was killed with its pane fails after two observations, not one, and its process tree is ended", async () => {
  await using fleet = await testFleet();
  const task = await running(fleet, "hang");

  // Its helper processes come and go, and the agent is still starting: the test waits until it runs, and then until
  // all have ended.
  await eventually(() => Promise.resolve(fleet.processesOf(task.id).length > 0 || undefined));
  await eventually(async () => {
    await killTree(
      fleet.processesOf(task.id).map((pid) => ({ pid })),
      { graceMs: 0 },
    );
    return fleet.processesOf(task.id).length === 0 || undefined;
  });
  await fleet.tick();
  const failed = await fleet.runUntil(task.id, "failed");

  expect(failed.failureContext).toMatchObject({ class: "agent_error" });
  expect(fleet.processesOf(task.id)).toEqual([]);
});

test("an agent that is silent too long is nudged once, and fails after the same time again", async () => {
  await using fleet = await testFleet();
  const task = await running(fleet, "hang");
  const quiet = () => fleet.query("update heartbeats set progress_at = now() - interval '11 min'");
  await fleet.query("update fleet_tasks set spawned_at = now() - interval '20 min', condition_since = null");

  await fleet.tick();
  await quiet();
  await sweepShard(fleet.fleet, ALL);
  const [nudged] = await fleet.query("select nudged_at is not null as yes from heartbeats");
  await quiet();
  await sweepShard(fleet.fleet, ALL);
  expect((await fleet.read(task.id)).status).toBe("running");
  await fleet.query(
    "update heartbeats set progress_at = now() - interval '30 min', nudged_at = now() - interval '11 min'",
  );
  await sweepShard(fleet.fleet, ALL);

  expect(nudged).toEqual({ yes: true });
  expect(await fleet.read(task.id)).toMatchObject({
    status: "failed",
    failureContext: { class: "stall", reason: "stalled" },
  });
});

test("an agent that exceeds its time limit fails, and is ended with everything it started", async () => {
  await using fleet = await testFleet();
  const task = await running(fleet, "ignore-term", { timeoutMinutes: 1 });
  await fleet.query("update fleet_tasks set spawned_at = now() - interval '2 min'");

  await fleet.tick();

  expect(await fleet.read(task.id)).toMatchObject({ status: "failed", failureContext: { class: "timeout" } });
  await fleet.tick();
  expect(fleet.processesOf(task.id)).toEqual([]);
});

test("the agents of a silent host are doubtful, and lost only after the grace period", async () => {
  await using fleet = await testFleet();
  const other = await fleet.another();
  await fleet.tick(other);
  const task = await running(fleet, "hang");

  await fleet.query("update hosts set lease_until = now() - interval '1 min' where id = 'here'");
  await sweepShard(other.fleet, ALL);
  expect((await fleet.read(task.id)).status).toBe("running");
  await fleet.query("update hosts set lease_until = now() - interval '3 min' where id = 'here'");
  await sweepShard(other.fleet, ALL);

  expect(await fleet.read(task.id)).toMatchObject({ status: "failed", failureContext: { class: "host_lost" } });
  // The host comes back, and ends what is no longer its own.
  await fleet.tick();
  expect(fleet.processesOf(task.id)).toEqual([]);
});

test("contradictory facts make a task doubtful, not failed, until they agree again", async () => {
  await using fleet = await testFleet();
  const task = await running(fleet, "hang");
  await fleet.tick();
  await fleet.query("update heartbeats set pane = 'unknown', observed_at = now()");

  await sweepShard(fleet.fleet, ALL);
  expect(await fleet.read(task.id)).toMatchObject({ status: "running", condition: "doubtful" });
  await fleet.tick();

  expect(await fleet.read(task.id)).toMatchObject({ status: "running", condition: "ok" });
});

test("a pull request that was merged outside is recorded as merged", async () => {
  await using fleet = await testFleet();
  const { id } = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository() });
  await fleet.runUntil(id, "pr_created");
  await fleet.query("update pull_requests set state = 'merged', merge_sha = $1", ["c".repeat(40)]);

  await sweepShard(fleet.fleet, ALL);

  expect(await fleet.read(id)).toMatchObject({ status: "merged" });
});

test("commits that arrive during the checks are checked afterwards", async () => {
  await using fleet = await testFleet();
  const repository = await fleet.aRepository();
  const { id } = await fleet.spawn(await fleet.operator(), { repository });
  const task = await fleet.runUntil(id, "pr_created");
  const { gitDir } = await fleet.fleet.forges.of(repository).ensure(repository);
  const copy = `${fleet.home}/copy`;
  runGit(fleet.home, "clone", "--quiet", "--branch", task.branch, gitDir, copy);
  const headSha = commitFiles(copy, { "late.txt": "one more thing\n" });
  runGit(copy, "push", "--quiet", "origin", "HEAD");

  const ready = await fleet.runUntil(id, "ready");

  expect(ready.headSha).toBe(headSha);
  expect(await fleet.query("select head_sha from ci_runs order by created_at desc limit 1")).toEqual([
    { head_sha: headSha },
  ]);
});

test("a repository that does not answer leaves only its own tasks undecided", async () => {
  await using fleet = await testFleet();
  const lost = await running(fleet, "hang");
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository() });
  await fleet.query("update fleet_tasks set repository = '/nowhere/at/all' where id = $1", [lost.id]);

  const ready = await fleet.runUntil(id, "ready");

  expect(ready.status).toBe("ready");
  expect((await fleet.read(lost.id)).status).toBe("running");
  expect(fleet.logged.map(({ facts }) => facts["event"])).toContain("forge.skipped");
});

test("auto-merge merges what was approved, and nothing that merely had no objection in time", async () => {
  await using fleet = await testFleet({ settings: { autoMerge: true } });
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository() });

  expect(await fleet.runUntil(id, "merged")).toMatchObject({ status: "merged" });
});
