/** Rows that are claimed, leased or counted: hosts, agents' facts, checks, reviews, pull requests, notifications. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { AgentFacts } from "../../src/domain/monitor/facts.ts";
import { type Task, shortId } from "../../src/domain/task/task.ts";
import { listAttempts } from "../../src/store/attempts.ts";
import { claimCiRun, ensureCiRun, renewCiRunLease, releaseCiRun, settleCiRun } from "../../src/store/ci-runs.ts";
import { listFacts, markNudged, upsertFacts } from "../../src/store/heartbeats.ts";
import { listHosts, lockFreeSlots, releaseHost, renewHost } from "../../src/store/hosts.ts";
import { closePullRequest, upsertComment, upsertPullRequest } from "../../src/store/pull-requests.ts";
import type { Tx } from "../../src/store/sql.ts";
import { findTaskAtEpoch, listTasksByName, renewTaskLease } from "../../src/store/tasks.ts";
import { someAgentFacts } from "../support/builders.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { SYSTEM } from "../../src/store/principal.ts";

const how = { actor: "test", action: "test.move" };
const times = <Result>(count: number, work: (index: number) => Promise<Result>): Promise<Result[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

test("output, CPU time or a commit counts as progress, and nothing else does", async () => {
  await using world = await testStore();
  const task = await world.task(await world.operator(), "running");
  const progress = async (facts: Partial<AgentFacts>) => {
    await as(world, (tx) => upsertFacts(tx, "host-1", [someAgentFacts(task, facts)]));
    const [seen] = await as(world, (tx) => listFacts(tx, [task.id]));
    return seen?.progressAt.getTime() ?? 0;
  };

  const first = await progress({ outBytes: 1, cpuMs: 1 });
  expect(await progress({ outBytes: 1, cpuMs: 1 })).toBe(first);
  const output = await progress({ outBytes: 2, cpuMs: 1 });
  const cpu = await progress({ outBytes: 2, cpuMs: 2 });
  const commit = await progress({ outBytes: 2, cpuMs: 2, headSha: "a".repeat(40) });
  expect(first < output && output < cpu && cpu < commit).toBe(true);
  // A probe without a known head does not report a new head.
  expect(await progress({ outBytes: 2, cpuMs: 2, headSha: null })).toBe(commit);
});

test("dead probes count only when consecutive, and a new dispatch resets everything", async () => {
  await using world = await testStore();
  const task = await world.task(await world.operator(), "running");
  const probe = async (about: Task, facts: Partial<AgentFacts>) => {
    await as(world, (tx) => upsertFacts(tx, "host-1", [someAgentFacts(about, facts)]));
    const [seen] = await as(world, (tx) => listFacts(tx, [task.id]));
    return seen;
  };
  const dead = { pane: "missing", process: "dead" } as const;

  expect((await probe(task, dead))?.deadProbes).toBe(1);
  expect((await probe(task, dead))?.deadProbes).toBe(2);
  expect((await probe(task, { pane: "unknown", process: "unknown" }))?.deadProbes).toBe(0);
  expect((await probe(task, dead))?.deadProbes).toBe(1);
  await as(world, (tx) => markNudged(tx, task.id));
  const next = await world.store.transitions.transition(SYSTEM, {
    task,
    ...how,
    patch: { attempt: 2, dispatchId: randomUUID() },
  });
  expect(await probe(next, dead)).toMatchObject({ deadProbes: 1, nudgedAt: null, attempt: 2 });
});

test("facts about another dispatch, another attempt or no task are dropped, and a repeated one is written once", async () => {
  await using world = await testStore();
  const task = await world.task(await world.operator(), "running");
  const mine = someAgentFacts(task, { pid: 7 });
  const strangers = [
    someAgentFacts({ ...task, dispatchId: randomUUID() }, { pid: 1 }),
    someAgentFacts({ ...task, attempt: 0 }, { pid: 2 }),
    someAgentFacts({ ...task, id: randomUUID() }, { pid: 3 }),
  ];

  for (const stranger of strangers) expect(await as(world, (tx) => upsertFacts(tx, "host-1", [stranger]))).toBe(0);
  expect(await as(world, (tx) => upsertFacts(tx, "host-1", [...strangers, mine, { ...mine }]))).toBe(1);
  expect(await as(world, (tx) => upsertFacts(tx, "host-1", []))).toBe(0);
  expect(await as(world, (tx) => listFacts(tx, [task.id]))).toMatchObject([{ pid: 7, host: "host-1" }]);
});

test("one process reports for a host; another takes over when its lease has expired or was released", async () => {
  await using world = await testStore();
  const renew = (reporter: string, leaseMs = 60_000) => as(world, (tx) => renewHost(tx, report(reporter), leaseMs));

  const first = await times(8, (index) => renew(`worker-${index}`));
  expect(first.filter(Boolean)).toHaveLength(1);
  const holder = `worker-${first.indexOf(true)}`;
  expect(await renew(holder, -1_000)).toBe(true);
  expect(await as(world, (tx) => listHosts(tx))).toMatchObject([{ id: "host-1", alive: false, slots: 4, held: 0 }]);
  const second = await times(8, (index) => renew(`other-${index}`));
  expect(second.filter(Boolean)).toHaveLength(1);
  expect(await renew(holder)).toBe(false);

  await as(world, (tx) => releaseHost(tx, "host-1", holder)); // The lease is no longer its own.
  expect(await renew(holder)).toBe(false);
  await as(world, (tx) => releaseHost(tx, "host-1", `other-${second.indexOf(true)}`));
  expect(await as(world, (tx) => listHosts(tx))).toMatchObject([{ draining: true }]);
});

test("of many claims of a host's last slot one succeeds", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  await as(world, (tx) =>
    renewHost(tx, { id: "host-1", bootId: "b", reporter: "w", slots: 3, versions: {}, load: 0, diskFreeMb: 1 }, 60_000),
  );
  const waiting = await world.tasks(operator, 12);

  const taken = await times(12, async (index) => {
    const task = waiting[index];
    if (!task) return false;
    return world.store.asSystem(async (tx) => {
      if ((await lockFreeSlots(tx, "host-1")) < 1) return false;
      await tx.run`update fleet_tasks set status = 'spawning', host = 'host-1' where id = ${task.id}`;
      return true;
    });
  });

  expect(taken.filter(Boolean)).toHaveLength(3);
  expect(await as(world, (tx) => lockFreeSlots(tx, "nowhere"))).toBe(-1);
});

test("a branch has one open pull request, and a repository's numbers have no gap or duplicate when many are opened at once", async () => {
  await using world = await testStore();
  const tasks = await world.tasks(await world.operator(), 20, "running");
  const open = (task: Task | undefined, headBranch: string, headSha = "a".repeat(40), number?: number) =>
    as(world, (tx) =>
      upsertPullRequest(tx, {
        number,
        repository: "r",
        taskId: task?.id ?? "",
        tenantId: task?.tenantId ?? "",
        operatorId: task?.operatorId ?? "",
        title: "t",
        headBranch,
        baseBranch: "main",
        headSha,
        baseSha: "b".repeat(40),
        openedBy: "test",
        attempt: 1,
      }),
    );

  const opened = await times(20, (index) => open(tasks[index], `branch-${index}`));
  expect(opened.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 20 }, (_, n) => n + 1),
  );
  const again = await times(10, () => open(tasks[0], "branch-0", "c".repeat(40)));
  expect(new Set(again.map(({ number }) => number))).toEqual(new Set([opened[0]?.number]));
  expect(again[0]?.headSha).toBe("c".repeat(40));

  const pr = { repository: "r", number: opened[0]?.number ?? 0 };
  for (const body of ["one", "two"]) await as(world, (tx) => upsertComment(tx, pr, { marker: "m", body }));
  await as(world, (tx) => closePullRequest(tx, pr, { state: "merged", mergeSha: "d".repeat(40) }));
  await as(world, (tx) => closePullRequest(tx, pr, { state: "closed" }));
  const [row] = await world.query("select state, comments from pull_requests where number = $1", [pr.number]);
  expect(row).toEqual({ state: "merged", comments: [{ marker: "m", body: "two" }] });
  expect((await open(tasks[0], "branch-0")).number).toBe(21);

  // A forge that stores pull requests itself assigns the number, also when it has replaced the open one.
  expect((await open(tasks[0], "branch-0", "e".repeat(40), 500)).number).toBe(500);
  expect((await open(tasks[0], "new", "e".repeat(40), 501)).number).toBe(501);
});

test("the checks of a head are one run, which one worker holds until it settles or releases it or its lease expires", async () => {
  await using world = await testStore();
  const task = await world.task(await world.operator(), "pr_created");
  const headSha = "a".repeat(40);
  const claim = (worker: string, leaseMs = 60_000) =>
    as(world, (tx) => claimCiRun(tx, { taskId: task.id, headSha, worker, leaseMs }));
  const owner = { taskId: task.id, tenantId: task.tenantId, operatorId: task.operatorId };
  const made = await times(6, () => as(world, (tx) => ensureCiRun(tx, randomUUID(), owner, headSha)));
  const id = made[0]?.id ?? "";
  expect(new Set(made.map((run) => run.id)).size).toBe(1);

  const claims = await times(8, (index) => claim(`w${index}`));
  expect(claims.filter(Boolean)).toHaveLength(1);
  const holder = `w${claims.findIndex(Boolean)}`;
  expect(await as(world, (tx) => renewCiRunLease(tx, id, "somebody", 1_000))).toBe(false);
  expect(await as(world, (tx) => renewCiRunLease(tx, id, holder, -1_000))).toBe(true);
  expect(await claim("late")).toMatchObject({ tries: 2 });
  const end: Parameters<typeof settleCiRun>[2] = { status: "passing", steps: [], logExcerpt: null, logPath: null };
  expect(await as(world, (tx) => settleCiRun(tx, { id, worker: holder }, end))).toBe(false);
  await as(world, (tx) => releaseCiRun(tx, id, "late"));
  expect(await claim("last")).toMatchObject({ tries: 3 });
  expect(await as(world, (tx) => settleCiRun(tx, { id, worker: "last" }, end))).toBe(true);
  expect(await claim("nobody")).toBeUndefined();
});

test("an attempt is stored with its start and its end", async () => {
  await using world = await testStore();
  let task = await world.task(await world.operator());
  const patch = {
    host: "host-1",
    dispatchId: randomUUID(),
    attempt: 1,
    metadata: { saga: { done: [], startSha: "s" } },
  };
  task = await world.store.transitions.transition(SYSTEM, { task, to: "spawning", ...how, patch, leaseMs: 60_000 });
  expect(await as(world, (tx) => renewTaskLease(tx, { taskId: task.id, epoch: task.epoch - 1 }, 1_000))).toBe(false);
  expect(await as(world, (tx) => renewTaskLease(tx, { taskId: task.id, epoch: task.epoch }, 1_000))).toBe(true);
  task = await world.store.transitions.transition(SYSTEM, { task, to: "running", ...how });
  const failure = { class: "stall", reason: "stalled", summary: "s", attempt: 1, signature: "x" } as const;
  task = await world.store.transitions.transition(SYSTEM, {
    task,
    to: "failed",
    ...how,
    patch: { failureContext: failure },
  });

  const [attempt] = await as(world, (tx) => listAttempts(tx, task.id));
  expect(attempt).toMatchObject({
    attempt: 1,
    host: "host-1",
    startSha: "s",
    outcome: "failed",
    failureContext: failure,
  });
  expect(attempt?.runningAt).toBeInstanceOf(Date);
  expect(attempt?.endedAt).toBeInstanceOf(Date);
});

test("a task is found by id, by any prefix of it, by its short name, and by the epoch of its job alone", async () => {
  await using world = await testStore();
  const [task, other] = await world.tasks(await world.operator(), 2);
  if (!task || !other) throw new Error("No tasks.");
  const named = (name: string) => as(world, async (tx) => (await listTasksByName(tx, name, 10)).map(({ id }) => id));

  expect(await named(task.id)).toEqual([task.id]);
  expect(await named(task.id.slice(0, 35))).toContain(task.id);
  expect(await named(task.id.slice(0, 9))).toContain(task.id);
  expect(await named(shortId(task.id))).toEqual([task.id]);
  expect(await named(shortId(task.id).slice(0, 6))).toEqual([task.id]);
  for (const name of ["", "-", "zz", "%", "_", `${task.id}0`, `${shortId(task.id)}0`])
    expect(await named(name)).toEqual([]);
  expect(await as(world, (tx) => findTaskAtEpoch(tx, { taskId: task.id, epoch: task.epoch }))).toEqual(task);
  expect(await as(world, (tx) => findTaskAtEpoch(tx, { taskId: task.id, epoch: task.epoch + 1 }))).toBeUndefined();
});

function as<Result>({ store }: TestStore, work: (tx: Tx) => Promise<Result>): Promise<Result> {
  return store.asSystem(work);
}

function report(reporter: string) {
  return {
    id: "host-1",
    bootId: "b",
    reporter,
    slots: 4,
    versions: { node: "20" },
    load: 0.5,
    diskFreeMb: 100_000,
  };
}
