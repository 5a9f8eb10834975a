/** A task gets exactly one working copy, whatever happens while it is created. */
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { branchHead, diffExcerpt, diffStat, publishBranch } from "../../../src/agents/workspace/branches.ts";
import { workspaceRecordPath } from "../../../src/agents/paths.ts";
import { prepareWorkspace } from "../../../src/agents/workspace/workspace.ts";
import { runCommand } from "../../../src/command/run.ts";
import { git } from "../../../src/git/git.ts";
import { mirrorOf } from "../../../src/git/mirror.ts";
import { aWorld } from "../world.ts";

/** git as an agent runs it: without our protection and without our identity. */
async function agentGit(cwd: string, ...args: string[]) {
  const env = { PATH: "/usr/bin:/bin", HOME: cwd };
  const result = await runCommand(["git", ...args], { cwd, env, timeoutMs: 10_000 });
  if (result.exitCode !== 0) throw new Error(result.stderr);
  return result.stdout.trim();
}

async function commitAsAgent(path: string, name: string, text = "work\n") {
  await writeFile(join(path, name), text);
  await agentGit(path, "add", "-A");
  await agentGit(path, "commit", "-qm", `Add ${name}`);
  return agentGit(path, "rev-parse", "HEAD");
}

for (const kind of ["worktree", "clone"] as const) {
  test(`in a ${kind} the agent's own git commits under its name and pushes to the forge`, async () => {
    await using world = await aWorld();
    const ask = world.ask({ kind });
    const { path, startSha, reused } = await prepareWorkspace(world.place, ask);

    const sha = await commitAsAgent(path, "feature.txt");
    await agentGit(path, "push", "-q", "origin", "HEAD");

    expect(reused).toBe(false);
    expect(await agentGit(path, "log", "-1", "--format=%an <%ae> %P")).toBe(
      `Fleetwright agent <agent@fleetwright.invalid> ${startSha}`,
    );
    expect((await git(["rev-parse", ask.branch], { gitDir: world.forge.url })).trim()).toBe(sha);
  });

  test(`preparing the same ${kind} again finds it, with the same base commit`, async () => {
    await using world = await aWorld();
    const ask = world.ask({ kind });
    const first = await prepareWorkspace(world.place, ask);
    await commitAsAgent(first.path, "feature.txt");

    const again = await prepareWorkspace(world.place, ask);

    expect(again).toEqual({ ...first, reused: true });
  });

  test(`a retry continues in the same ${kind}, from where the last attempt ended`, async () => {
    await using world = await aWorld();
    const ask = world.ask({ kind });
    const first = await prepareWorkspace(world.place, ask);
    const sha = await commitAsAgent(first.path, "feature.txt");

    const retry = await prepareWorkspace(world.place, { ...ask, attempt: 1 });

    expect(retry).toMatchObject({ path: first.path, startSha: sha, baseSha: first.baseSha, reused: true });
  });

  test(`a ${kind} whose creation was interrupted is created again`, async () => {
    await using world = await aWorld();
    const ask = world.ask({ kind });
    const { path } = await prepareWorkspace(world.place, ask);
    await rm(workspaceRecordPath(world.place.home, ask.taskId));
    await rm(join(path, "README.md"));

    const again = await prepareWorkspace(world.place, ask);

    expect(again.reused).toBe(false);
    expect(await readFile(join(path, "README.md"), "utf8")).toBe("# Shop\n");
  });

  test(`the branch of a ${kind} is published on the agent's behalf`, async () => {
    await using world = await aWorld();
    const ask = world.ask({ kind });
    const { path, baseSha } = await prepareWorkspace(world.place, ask);
    const sha = await commitAsAgent(path, "feature.txt");
    const request = {
      repositoryUrl: world.forge.url,
      branch: ask.branch,
      ...(kind === "clone" ? { clone: { path } } : {}),
      expectedOld: null,
    };

    const published = await publishBranch(world.place.mirrors, request);
    const again = await publishBranch(world.place.mirrors, request);

    expect(published).toEqual({ sha, pushed: true });
    expect(again).toEqual({ sha, pushed: false });
    const mirror = mirrorOf(world.place.home, world.forge.url);
    const count = await git(["rev-list", "--count", `${baseSha}..${sha}`, "--"], { gitDir: mirror.path });
    expect(Number(count)).toBe(1);
  });
}

test("eight working copies are created at once from one mirror", async () => {
  await using world = await aWorld();
  const asks = Array.from({ length: 8 }, () => world.ask());

  const made = await Promise.all(asks.map((ask) => prepareWorkspace(world.place, ask)));

  expect(new Set(made.map(({ path }) => path)).size).toBe(8);
  expect(new Set(made.map(({ portBase }) => portBase)).size).toBe(8);
  for (const { path } of made) expect(await agentGit(path, "status", "--porcelain")).toBe("");
});

test("a branch of an earlier attempt is continued when its folder is missing", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const { path } = await prepareWorkspace(world.place, ask);
  const sha = await commitAsAgent(path, "feature.txt");
  await rm(path, { recursive: true });

  const again = await prepareWorkspace(world.place, { ...ask, attempt: 1 });

  expect(again).toMatchObject({ reused: false, startSha: sha });
  expect(await readFile(join(path, "feature.txt"), "utf8")).toBe("work\n");
});

test("a damaged working copy is quarantined, not deleted", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const { path } = await prepareWorkspace(world.place, ask);
  await writeFile(join(path, "notes.txt"), "precious");
  await rm(join(path, ".git"));

  const again = await prepareWorkspace(world.place, { ...ask, attempt: 1 });

  expect(again.reused).toBe(false);
  const [kept] = await readdir(join(world.place.home, "workspaces/.kept"));
  expect(await readFile(join(world.place.home, "workspaces/.kept", kept ?? "", "notes.txt"), "utf8")).toBe("precious");
});

test("an existing branch with commits is refused when the task must start over", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const { path } = await prepareWorkspace(world.place, ask);
  await commitAsAgent(path, "feature.txt");
  await agentGit(path, "push", "-q", "origin", "HEAD");

  const other = world.ask({ branch: ask.branch, fromBranchIfExists: false });

  await expect(prepareWorkspace(world.place, other)).rejects.toThrow(/already exists and has commits/);
});

test("a missing base branch is refused with the existing branches", async () => {
  await using world = await aWorld();

  await expect(prepareWorkspace(world.place, world.ask({ baseBranch: "master" }))).rejects.toMatchObject({
    facts: { spawnCode: "WORKSPACE_FAILED", step: "workspace" },
    message: expect.stringContaining("It has: main."),
  });
});

test("branch names that git or a shell could misread are refused", async () => {
  await using world = await aWorld();

  for (const branch of ["--force", "a..b", "x.lock", "HEAD", "refs/heads/x", "a b", "main"]) {
    await expect(prepareWorkspace(world.place, world.ask({ branch }))).rejects.toMatchObject({ code: "spawn-failed" });
  }
});

test("a symlink where the working copy should be is not followed", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const outside = join(world.home, "outside");
  await mkdir(outside);
  await mkdir(join(world.place.home, "workspaces"), { recursive: true });
  await symlink(outside, join(world.place.home, "workspaces", ask.taskId.slice(-8)));

  const { path } = await prepareWorkspace(world.place, ask);

  expect(await readdir(outside)).toEqual([]);
  expect(await readFile(join(path, "README.md"), "utf8")).toBe("# Shop\n");
});

test("a nearly full disk stops the spawn before it begins", async () => {
  await using world = await aWorld();

  const ask = prepareWorkspace({ ...world.place, minFreeMb: 1e12 }, world.ask());

  await expect(ask).rejects.toMatchObject({ facts: { spawnCode: "DISK_FULL" } });
});

test("publishing is refused when the forge's branch is not where it was recorded", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const { path, startSha } = await prepareWorkspace(world.place, ask);
  await commitAsAgent(path, "feature.txt");
  await agentGit(path, "push", "-q", "origin", "HEAD");
  await agentGit(path, "commit", "-q", "--amend", "-m", "Other");
  const request = { repositoryUrl: world.forge.url, branch: ask.branch };

  await expect(publishBranch(world.place.mirrors, { ...request, expectedOld: startSha })).rejects.toMatchObject({
    code: "merge-conflict",
  });
  await expect(publishBranch(world.place.mirrors, request)).rejects.toThrow(/non-fast-forward/);
});

test("changes are described by files, lines and the newest hunks first", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const { path, baseSha } = await prepareWorkspace(world.place, ask);
  await commitAsAgent(path, "one.txt", "one\n");
  await commitAsAgent(path, "two.txt", "two\n".repeat(400));
  const mirror = mirrorOf(world.place.home, world.forge.url);
  const head = (await branchHead(mirror, ask.branch)) ?? "";

  expect(await diffStat(mirror, baseSha, head)).toEqual({
    files: ["one.txt", "two.txt"],
    insertions: 401,
    deletions: 0,
  });
  const excerpt = await diffExcerpt(mirror, baseSha, head);
  expect(excerpt.startsWith("diff --git a/two.txt")).toBe(true);
  expect(excerpt.length).toBeLessThanOrEqual(2_000);
});
