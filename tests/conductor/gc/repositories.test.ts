/** gc over real repositories: working copies, branches, mirrors and snapshots, each of which can be restored. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { v7 as newId } from "uuid";
import { expect, test } from "vitest";
import { listSnapshots, restoreSnapshotByName } from "../../../src/agents/cleanup/snapshots.ts";
import { shortId } from "../../../src/domain/task/task.ts";
import { git } from "../../../src/git/git.ts";
import { aForgeRepository, commitFiles } from "../../git/repositories.ts";
import { collect } from "../../support/collected.ts";
import { testFleet } from "../../support/fleet.ts";

const DAY_MS = 86_400_000;

async function world() {
  let now = new Date();
  const fleet = await testFleet({ parts: { clock: () => now } });
  const forge = await aForgeRepository(dirname(fleet.home));
  return {
    fleet,
    forge,
    pass: (days: number) => void (now = new Date(now.getTime() + days * DAY_MS)),
    /** A working copy like an agent's, but without a row of a task. */
    async workspace() {
      const taskId = newId();
      const branch = `fleet/${shortId(taskId)}-work`;
      const ask = {
        taskId,
        attempt: 0,
        repositoryUrl: forge.url,
        branch,
        baseBranch: "main",
        kind: "worktree" as const,
      };
      const { path } = await fleet.fleet.agents.prepareWorkspace(ask);
      return { path, branch, taskId };
    },
    [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose](),
  };
}

test("a working copy without a task is saved completely and removed, and can be restored by name", async () => {
  await using it = await world();
  const { path, branch, taskId } = await it.workspace();
  const head = await commitFiles(path, { "feature.txt": "done\n" }, "Add a feature");
  await writeFile(join(path, "README.md"), "changed\n");
  await writeFile(join(path, "new.txt"), "new\n");
  const planned = await collect(it.fleet, { dryRun: true });
  expect(existsSync(path)).toBe(true);

  const { gone } = await collect(it.fleet);

  expect(planned.gone.map(({ kind, subject }) => [kind, subject])).toEqual([["workspace", shortId(taskId)]]);
  expect(gone).toMatchObject([{ kind: "workspace", subject: shortId(taskId), outcome: "removed" }]);
  expect(existsSync(path)).toBe(false);
  const [saved] = await listSnapshots(it.fleet.home);
  expect(saved).toMatchObject({ branch, head, commits: true, changes: true, untracked: 1 });
  expect(gone[0]?.restore).toBe(saved?.restoreCommand);
  const into = join(dirname(it.fleet.home), "back");
  await restoreSnapshotByName(it.fleet.home, String(saved?.name), into);
  expect((await git(["rev-parse", "HEAD"], { cwd: into })).trim()).toBe(head);
  const files = await Promise.all(
    ["feature.txt", "README.md", "new.txt"].map((name) => readFile(join(into, name), "utf8")),
  );
  expect(files).toEqual(["done\n", "changed\n", "new\n"]);
  await expect(restoreSnapshotByName(it.fleet.home, String(saved?.name), into)).rejects.toMatchObject({
    code: "workspace-refused",
  });
  await expect(restoreSnapshotByName(it.fleet.home, "../etc", join(into, "x"))).rejects.toMatchObject({
    code: "not-found",
  });
});

test("a branch with its own commits is removed only after a bundle has them; a merged one can be restored", async () => {
  await using it = await world();
  const open = await it.workspace();
  const head = await commitFiles(open.path, { "open.txt": "open\n" }, "Work on");
  const [mirror = ""] = await mirrorsOf(it.fleet.home);
  const merged = { branch: "fleet/01234567-old" };
  await git(["update-ref", `refs/heads/${merged.branch}`, "refs/remotes/origin/main"], { gitDir: mirror });
  await git(["update-ref", "refs/heads/whose", "refs/remotes/origin/main"], { gitDir: mirror });

  const first = await collect(it.fleet);
  const second = await collect(it.fleet);
  const collected = [...first.gone, ...second.gone];

  expect(second.kept).toContainEqual({ kind: "branch", reason: "it does not belong to a known task", count: 1 });
  const byBranch = new Map(collected.map((one) => [one.subject, one]));
  expect(byBranch.get(merged.branch)).toMatchObject({ kind: "branch", reason: "it is merged", outcome: "removed" });
  expect(byBranch.get(open.branch)).toMatchObject({ kind: "branch", outcome: "removed" });
  const saved = (await listSnapshots(it.fleet.home)).filter(({ name }) => name.endsWith("-branch"));
  expect(saved).toMatchObject([{ branch: open.branch, head, commits: true, changes: false }]);
  const into = join(dirname(it.fleet.home), "back");
  await restoreSnapshotByName(it.fleet.home, String(saved[0]?.name), into);
  expect(await readFile(join(into, "open.txt"), "utf8")).toBe("open\n");
  execFileSync("sh", ["-c", String(byBranch.get(merged.branch)?.restore)]);
  const again = await collect(it.fleet, { dryRun: true });
  expect(again.gone.map(({ subject }) => subject)).toEqual([merged.branch]);
});

test("an unused mirror is collected after its retention; a task that may use it keeps it", async () => {
  await using it = await world();
  const { path } = await it.workspace();
  const mirrors = async () =>
    (await collect(it.fleet, { dryRun: true })).gone.filter(({ kind }) => kind === "mirror").map((one) => one.reason);
  it.pass(31);
  expect(await mirrors()).toEqual([]);
  await collect(it.fleet);
  expect(existsSync(path)).toBe(false);
  expect(await mirrors()).toEqual(["not used for 30 days"]);

  const by = await it.fleet.operator();
  const task = await it.fleet.spawn(by, { repository: it.forge.url });
  expect(await mirrors()).toEqual([]);
  await it.fleet.query("update fleet_tasks set status = 'cancelled', completed_at = now() where id = $1", [task.id]);

  const { gone } = await collect(it.fleet);
  const mirror = gone.find(({ kind }) => kind === "mirror");
  expect(mirror).toMatchObject({ outcome: "put-aside" });
  expect(existsSync(String(mirror?.path))).toBe(false);
  execFileSync("sh", ["-c", String(mirror?.restore)]);
  expect((await git(["rev-parse", "refs/remotes/origin/main"], { gitDir: String(mirror?.path) })).trim()).toMatch(
    /^[0-9a-f]{40}$/,
  );
});

test("items that need a person's decision stay, and so does everything that Fleetwright did not create", async () => {
  await using it = await world();
  const { path, branch } = await it.workspace();
  // Its folder is no working copy any more: the clean-up cannot read what would be lost.
  await rename(join(path, ".git"), join(path, "git"));
  await git(["update-ref", `refs/heads/${branch}`, "-d"], { gitDir: (await mirrorsOf(it.fleet.home))[0] ?? "" });
  await mkdir(join(it.fleet.home, "workspaces", ".kept", "precious"), { recursive: true });
  it.pass(40);

  const { gone } = await collect(it.fleet);

  expect(gone.find(({ kind }) => kind === "workspace")).toMatchObject({
    outcome: "failed",
    why: expect.stringMatching(/cannot be read/),
  });
  expect(existsSync(path)).toBe(true);
  expect(existsSync(join(it.fleet.home, "workspaces", ".kept", "precious"))).toBe(true);
});

async function mirrorsOf(home: string): Promise<string[]> {
  const names = await readdir(join(home, "mirrors"));
  return names.filter((name) => name.endsWith(".git")).map((name) => join(home, "mirrors", name));
}
