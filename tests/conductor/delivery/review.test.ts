/** Reviews: rows decide when a round is complete, and the job that settles the last one decides for the task. */
import { expect, test } from "vitest";
import { runReview, settleRound } from "../../../src/conductor/delivery/review.ts";
import { sweepShard } from "../../../src/conductor/monitor/sweep.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { commitFiles, runGit } from "../../support/repositories.ts";

const signal = new AbortController().signal;
const ALL = { shard: 0, of: 1 };
const stub = (name: string, script: string) => ({ name, type: "stub", role: "all", script });

/** A task in review, none of whose reviewers has been asked for a verdict yet. */
async function inReview(fleet: TestFleet, script = "succeed") {
  const repository = await fleet.aRepository({ test: null });
  const { id } = await fleet.spawn(await fleet.operator(), { repository, script });
  const task = await fleet.runUntil(id, "reviewing");
  const rows = await fleet.query("select id, reviewer from reviews where round = $1 order by reviewer", [
    task.metadata.reviewRound,
  ]);
  const jobs = rows.map((row) => ({ taskId: id, epoch: task.epoch, reviewId: String(row["id"]) }));
  return { task, jobs, repository };
}

const settings = (...reviewers: ReturnType<typeof stub>[]) => ({ settings: { reviewers } });

test("the last verdict decides, and with two at once exactly one of them does", async () => {
  await using fleet = await testFleet(
    settings(stub("a", "approve-always"), stub("b", "approve-always"), stub("c", "approve-always")),
  );
  const { task, jobs } = await inReview(fleet);
  const [first, ...others] = jobs;

  await runReview(fleet.fleet, first ?? { taskId: task.id, epoch: 0, reviewId: task.id }, signal);
  expect((await fleet.read(task.id)).status).toBe("reviewing");
  await Promise.all(others.map((job) => runReview(fleet.fleet, job, signal)));

  expect(await fleet.read(task.id)).toMatchObject({ status: "ready", reviewStatus: { outcome: "approved" } });
  expect(await fleet.query("select count(*)::int as n from audit_log where action = 'task.ready'")).toEqual([{ n: 1 }]);
});

test("a job that is delivered twice runs its reviewer once", async () => {
  await using fleet = await testFleet(settings(stub("a", "slow"), stub("b", "hang")));
  const { jobs } = await inReview(fleet);
  const [job] = jobs;
  if (!job) throw new Error("no job");

  await Promise.all([runReview(fleet.fleet, job, signal), runReview(fleet.fleet, job, signal)]);
  const [before] = await fleet.query("select ended_at from reviews where reviewer = 'a'");
  await runReview(fleet.fleet, job, signal);

  expect(await fleet.query("select ended_at from reviews where reviewer = 'a'")).toEqual([before]);
});

test("a reviewer with an unreadable answer counts as missing, and the others decide", async () => {
  await using fleet = await testFleet(settings(stub("a", "garbage"), stub("b", "approve-always")));
  const { task, jobs } = await inReview(fleet);

  for (const job of jobs) await runReview(fleet.fleet, job, signal);

  expect(await fleet.query("select reviewer, status from reviews order by reviewer")).toEqual([
    { reviewer: "a", status: "missing" },
    { reviewer: "b", status: "done" },
  ]);
  expect(await fleet.read(task.id)).toMatchObject({ status: "ready" });
});

test.each([
  ["ready", "ready", "ok"],
  ["hold", "reviewing", "needs_input"],
] as const)(
  "when no reviewer decides in time and the policy is %s, the task is %s",
  async (onTimeout, status, condition) => {
    await using fleet = await testFleet({
      settings: { reviewers: [stub("a", "comment-always")], review: { onTimeout } },
    });
    const { task, jobs } = await inReview(fleet);
    for (const job of jobs) await runReview(fleet.fleet, job, signal);
    expect((await fleet.read(task.id)).status).toBe("reviewing");

    await fleet.query("update reviews set created_at = now() - interval '31 min'");
    await sweepShard(fleet.fleet, ALL);
    await sweepShard(fleet.fleet, ALL);

    const after = await fleet.read(task.id);
    expect(after).toMatchObject({ status, condition, reviewStatus: { outcome: "timed_out" } });
    const notified = await fleet.query(
      "select count(*)::int as n from fleet_notifications where type in ('pr_ready', 'needs_input')",
    );
    expect(notified).toEqual([{ n: 1 }]);
  },
);

test("a reviewer who objects sends the task back, with every finding for the next attempt", async () => {
  await using fleet = await testFleet(settings(stub("a", "default"), stub("b", "approve-always")));
  const { task, jobs } = await inReview(fleet, "objectionable-then-fix");

  await Promise.all(jobs.map((job) => runReview(fleet.fleet, job, signal)));

  const rejected = await fleet.read(task.id);
  expect(rejected).toMatchObject({ status: "rejected", failureContext: { class: "review_rejected" } });
  expect(JSON.stringify(rejected.failureContext?.findings)).toContain("TODO is left in the code");
  expect(await fleet.query("select comments from pull_requests")).toEqual([
    { comments: [{ marker: "fleetwright-review", body: expect.stringContaining("request_changes") }] },
  ]);
  expect(await fleet.runUntil(task.id, "ready")).toMatchObject({ attempt: 1 });
});

test("new commits during a review start a round for the new head; verdicts on the old one decide nothing", async () => {
  await using fleet = await testFleet(settings(stub("a", "approve-always")));
  const { task, jobs, repository } = await inReview(fleet);
  const forge = await fleet.fleet.forges.of(repository).ensure(repository);
  const copy = `${fleet.home}/copy`;
  runGit(fleet.home, "clone", "--quiet", "--branch", task.branch, forge.gitDir, copy);
  const headSha = commitFiles(copy, { "late.txt": "one more thing\n" });
  runGit(copy, "push", "--quiet", "origin", "HEAD");

  await sweepShard(fleet.fleet, ALL);
  for (const job of jobs) await runReview(fleet.fleet, job, signal);

  const second = await fleet.read(task.id);
  expect(second).toMatchObject({ status: "reviewing", metadata: { reviewRound: 2, reviewedHead: headSha }, headSha });
  expect(second.epoch).toBeGreaterThan(task.epoch);
  expect(await fleet.runUntil(task.id, "ready")).toMatchObject({ headSha });
  expect(await fleet.query("select head_sha from pull_requests")).toEqual([{ head_sha: headSha }]);
});

test("a round without reviewers is settled at once, and settling it again changes nothing", async () => {
  await using fleet = await testFleet({ settings: { reviewers: [] } });
  const repository = await fleet.aRepository({ test: null });
  const { id } = await fleet.spawn(await fleet.operator(), { repository });

  const ready = await fleet.runUntil(id, "ready");

  expect(ready.reviewStatus).toMatchObject({ round: 1 });
  expect(await settleRound(fleet.fleet, { taskId: id, epoch: ready.epoch - 1 })).toBeUndefined();
  expect(await settleRound(fleet.fleet, { taskId: id, epoch: ready.epoch })).toBeUndefined();
  expect(await fleet.read(id)).toEqual(ready);
});
