/** What every forge promises about pull requests, from the first commit to the merge, as the conductor uses it. */
import { describe, expect, test } from "vitest";
import { mergeTask } from "../../src/conductor/delivery/merge.ts";
import { commentOnPullRequest, openPullRequest } from "../../src/conductor/delivery/pull-requests.ts";
import { sweepShard } from "../../src/conductor/monitor/sweep.ts";
import type { Task } from "../../src/domain/task/task.ts";
import type { Tx } from "../../src/store/sql.ts";
import type { TestFleet } from "../support/fleet.ts";
import { commitFiles, runGit } from "../support/repositories.ts";

export interface PullRequestWorld extends AsyncDisposable {
  readonly fleet: TestFleet;
  /** A product of this forge, and the result of the checks on its heads. */
  repository: (checks: "passing" | "failing") => Promise<string>;
  /** A pull request as it is shown at the forge. */
  read: (repository: string, number: number) => Promise<SeenPullRequest>;
  /** An action of a person at the forge itself. */
  setState: (repository: string, number: number, state: "closed" | "merged") => Promise<void>;
}

interface SeenPullRequest {
  readonly state: "open" | "closed" | "merged";
  readonly headSha: string;
  readonly comments: readonly string[];
}

export function testPullRequests(name: string, open: () => Promise<PullRequestWorld>): void {
  testWriting(name, open);
  testDelivery(name, open);
}

function testWriting(name: string, open: () => Promise<PullRequestWorld>): void {
  describe(`${name} forge: writing pull requests`, () => {
    test("a branch gets one pull request, whose head moves; the row is written together with the task or not at all", async () => {
      await using world = await open();
      const { fleet } = world;
      const task = await fleet.spawn(await fleet.operator(), { repository: await world.repository("passing") });
      const rows = () => fleet.query("select number, head_sha, state from pull_requests");
      const first = await pushTo(fleet, task, "a.txt");

      await expect(openFor(fleet, task, first, refuseOutdated)).rejects.toThrow("outdated");
      expect(await rows()).toEqual([]);
      const number = await openFor(fleet, task, first);
      const second = await pushTo(fleet, task, "b.txt");

      expect(await openFor(fleet, task, second)).toBe(number);
      expect(await rows()).toEqual([{ number, head_sha: second, state: "open" }]);
      expect(await world.read(task.repository, number)).toEqual({ state: "open", headSha: second, comments: [] });
    });

    test("a comment with the same marker replaces the previous one", async () => {
      await using world = await open();
      const { fleet } = world;
      const task = await fleet.spawn(await fleet.operator(), { repository: await world.repository("passing") });
      const number = await openFor(fleet, task, await pushTo(fleet, task, "a.txt"));
      const pullRequest = { repository: task.repository, number };

      for (const body of ["one", "two"]) {
        await fleet.fleet.store.asSystem((tx) =>
          commentOnPullRequest(fleet.fleet, tx, pullRequest, { marker: "m", body }),
        );
      }

      expect((await world.read(task.repository, number)).comments).toEqual(["two"]);
    });
  });
}

function testDelivery(name: string, open: () => Promise<PullRequestWorld>): void {
  describe(`${name} forge: delivering a task`, () => {
    test("its pull request has an address, gets the reviewers' verdict once, and is merged", async () => {
      await using world = await open();
      const { fleet } = world;
      const by = await fleet.operator();
      const repository = await world.repository("passing");
      const { id } = await fleet.spawn(by, { repository });

      const ready = await fleet.runUntil(id, "ready");

      const number = ready.prNumber ?? 0;
      expect(ready.prUrl).toBe(fleet.fleet.forges.of(repository).pullRequestUrl(repository, number));
      const verdict = expect.stringContaining("approved");
      const { headSha } = ready;
      expect(await world.read(repository, number)).toEqual({ state: "open", headSha, comments: [verdict] });
      await mergeTask(fleet.fleet, by, ready);
      expect(await fleet.read(id)).toMatchObject({ status: "merged" });
      expect(await world.read(repository, number)).toMatchObject({ state: "merged" });
      expect(await fleet.query("select number, state from pull_requests")).toEqual([{ number, state: "merged" }]);
    });

    test("failing checks of the forge fail the task", async () => {
      await using world = await open();
      const { fleet } = world;
      const { id } = await fleet.spawn(await fleet.operator(), { repository: await world.repository("failing") });

      expect(await fleet.runUntil(id, "failed")).toMatchObject({ failureContext: { class: "ci_failed" } });
    });

    test.each([
      ["closed", { status: "failed", failureContext: { reason: "pull_request_closed" } }],
      ["merged", { status: "merged" }],
    ] as const)("a pull request that a person has %s at the forge itself decides the task", async (state, expected) => {
      await using world = await open();
      const { fleet } = world;
      const repository = await world.repository("passing");
      const { id } = await fleet.spawn(await fleet.operator(), { repository });
      const { prNumber } = await fleet.runUntil(id, "pr_created");

      await world.setState(repository, prNumber ?? 0, state);
      await sweepShard(fleet.fleet, { shard: 0, of: 1 });

      expect(await fleet.read(id)).toMatchObject(expected);
      expect(await fleet.query("select state from pull_requests")).toEqual([{ state }]);
    });

    test("commits that come after the review are not merged, neither before nor after the monitor has seen them", async () => {
      await using world = await open();
      const { fleet } = world;
      const by = await fleet.operator();
      const repository = await world.repository("passing");
      const { id } = await fleet.spawn(by, { repository });
      const ready = await fleet.runUntil(id, "ready");
      await pushTo(fleet, ready, "late.txt", ready.branch);

      await expect(mergeTask(fleet.fleet, by, ready)).rejects.toMatchObject({ code: "head-moved" });
      await sweepShard(fleet.fleet, { shard: 0, of: 1 });
      await expect(mergeTask(fleet.fleet, by, await fleet.read(id))).rejects.toMatchObject({ code: "head-moved" });

      expect(await world.read(repository, ready.prNumber ?? 0)).toMatchObject({ state: "open" });
      expect(await fleet.read(id)).toMatchObject({ status: "ready", condition: "needs_input" });
    });
  });
}

const refuseOutdated = () => Promise.reject(new Error("outdated"));

async function openFor(
  { fleet }: TestFleet,
  task: Task,
  headSha: string,
  writeTask: (tx: Tx, pullRequest: { readonly number: number }) => Promise<number> = async (_tx, { number }) => number,
): Promise<number> {
  const repository = await fleet.forges.of(task.repository).ensure(task.repository);
  return openPullRequest(fleet, { task, repository, headSha }, writeTask);
}

/** Commits a file and pushes it to the task's branch, as its agent would; returns the new head. */
async function pushTo(
  { fleet, home }: TestFleet,
  { repository, branch }: Task,
  file: string,
  from = "main",
): Promise<string> {
  const { gitDir } = await fleet.forges.of(repository).ensure(repository);
  const clone = `${home}/clone-${file}`;
  runGit(home, "clone", "--quiet", "--branch", from, gitDir, clone);
  const head = commitFiles(clone, { [file]: "x\n" });
  runGit(clone, "push", "--quiet", "--force", "origin", `HEAD:${branch}`);
  return head;
}
