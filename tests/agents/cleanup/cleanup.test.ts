/** Work that exists only in a workspace is never lost: it is saved, verified, and only then removed. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decideCleanup, removeWorkspace, type CleanupFacts } from "../../../src/agents/cleanup/cleanup.ts";
import { restoreSnapshot } from "../../../src/agents/workspace/snapshot.ts";
import { prepareWorkspace } from "../../../src/agents/workspace/workspace.ts";
import { runCommand } from "../../../src/command/run.ts";
import { git } from "../../../src/git/git.ts";
import { commitFiles } from "../../git/repositories.ts";
import { aWorld } from "../world.ts";

const CLEAN: CleanupFacts = {
  exists: true,
  agentAlive: false,
  unreadable: null,
  unpushed: 0,
  changed: 0,
  untracked: 0,
  merged: false,
  onForge: false,
  snapshot: "none",
};

test("a clean workspace is removed, its branch only when the work exists elsewhere", () => {
  expect(decideCleanup(CLEAN)).toEqual({ do: "remove", deleteBranch: false });
  expect(decideCleanup({ ...CLEAN, merged: true })).toEqual({ do: "remove", deleteBranch: true });
  expect(decideCleanup({ ...CLEAN, onForge: true })).toEqual({ do: "remove", deleteBranch: true });
});

test("anything that would be lost is saved first", () => {
  for (const loss of [{ unpushed: 1 }, { changed: 1 }, { untracked: 1 }]) {
    expect(decideCleanup({ ...CLEAN, ...loss }).do).toBe("snapshot");
    expect(decideCleanup({ ...CLEAN, ...loss, snapshot: "verified" }).do).toBe("remove");
    expect(decideCleanup({ ...CLEAN, ...loss, snapshot: { failed: "disk full" } })).toMatchObject({ do: "keep" });
  }
});

test("any doubt prevents the removal of the workspace", () => {
  expect(decideCleanup({ ...CLEAN, agentAlive: true }).do).toBe("keep");
  expect(decideCleanup({ ...CLEAN, unreadable: "no permission" }).do).toBe("keep");
  expect(decideCleanup({ ...CLEAN, exists: false }).do).toBe("nothing");
});

for (const kind of ["worktree", "clone"] as const) {
  test(`commits, changes and new files of a ${kind} are restored from the snapshot unchanged`, async () => {
    await using world = await aWorld({ "README.md": "# Shop\n", "logo.bin": "\0\u0001binary\0", "gone.txt": "bye\n" });
    const ask = world.ask({ kind });
    const { path } = await prepareWorkspace(world.place, ask);
    const head = await commitFiles(path, { "feature.txt": "done\n" }, "Add a feature");
    await writeFile(join(path, "README.md"), "# Shop\nchanged\n");
    await writeFile(join(path, "logo.bin"), Buffer.from([0, 255, 254, 0, 10, 13]));
    await rm(join(path, "gone.txt"));
    await mkdir(join(path, "notes"));
    await writeFile(join(path, "notes/ü \n new line.txt"), "draft");
    await symlink("/etc/passwd", join(path, "notes/link"));

    const dry = await removeWorkspace(world.place, { ...ask, dryRun: true });
    const result = await removeWorkspace(world.place, ask);

    expect(dry.decision).toMatchObject({
      do: "snapshot",
      reason: "1 unpushed commits, 3 changed files, 2 untracked files",
    });
    expect(result).toMatchObject({ decision: { do: "remove", deleteBranch: false }, removedPath: path });
    expect(existsSync(path)).toBe(false);
    const into = join(world.home, "restored");
    await restoreSnapshot(result.snapshot?.dir ?? "", into);
    expect((await git(["rev-parse", "HEAD"], { cwd: into })).trim()).toBe(head);
    expect(await readFile(join(into, "README.md"), "utf8")).toBe("# Shop\nchanged\n");
    expect([...(await readFile(join(into, "logo.bin")))]).toEqual([0, 255, 254, 0, 10, 13]);
    expect(existsSync(join(into, "gone.txt"))).toBe(false);
    expect(await readFile(join(into, "notes/ü \n new line.txt"), "utf8")).toBe("draft");
    expect(await readlink(join(into, "notes/link"))).toBe("/etc/passwd");
  });
}

test("the printed restore command works", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const { path } = await prepareWorkspace(world.place, ask);
  await commitFiles(path, { "feature.txt": "done\n" }, "Add a feature");
  await writeFile(join(path, "README.md"), "changed\n");
  await writeFile(join(path, "new.txt"), "new\n");
  const { snapshot } = await removeWorkspace(world.place, ask);

  const env = { PATH: "/usr/bin:/bin", HOME: world.home };
  const command = ["sh", "-c", `${snapshot?.restoreCommand} && cat feature.txt README.md new.txt`];
  const { stdout, exitCode } = await runCommand(command, { cwd: world.home, env, timeoutMs: 20_000 });

  expect(exitCode).toBe(0);
  expect(stdout.endsWith("done\nchanged\nnew\n")).toBe(true);
});

test("programs that an agent planted for git do not run while its work is saved", async () => {
  await using world = await aWorld();
  const ask = world.ask({ kind: "clone" });
  const { path } = await prepareWorkspace(world.place, ask);
  const planted = `touch ${join(world.home, "hacked")};cat`;
  await git(["config", "filter.evil.clean", planted], { cwd: path });
  await git(["config", "diff.evil.textconv", planted], { cwd: path });
  await git(["config", "diff.external", planted], { cwd: path });
  await git(["config", "core.fsmonitor", planted], { cwd: path });
  await git(["config", "uploadpack.packObjectsHook", planted], { cwd: path });
  await writeFile(join(path, ".gitattributes"), "* filter=evil diff=evil\n");
  await writeFile(join(path, "README.md"), "changed\n");

  const result = await removeWorkspace(world.place, ask);

  expect(result.decision.do).toBe("remove");
  expect(existsSync(join(world.home, "hacked"))).toBe(false);
});

test("a file that is not a regular one cannot be saved, so the workspace stays", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const { path } = await prepareWorkspace(world.place, ask);
  await writeFile(join(path, "draft.txt"), "draft");
  await mkdir(join(path, "nested"));
  await git(["init", "--quiet", join(path, "nested")]);
  await commitFiles(join(path, "nested"), { a: "1" }, "Inner");

  const result = await removeWorkspace(world.place, ask);

  expect(result).toMatchObject({ decision: { do: "keep" }, removedPath: null });
  expect(await readFile(join(path, "draft.txt"), "utf8")).toBe("draft");
  expect((await readdir(join(world.place.home, "snapshots"))).filter((name) => !name.startsWith("."))).toEqual([]);
});

test("a workspace whose agent left its branch is retained", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const { path } = await prepareWorkspace(world.place, ask);
  await git(["checkout", "--quiet", "--detach"], { cwd: path });

  expect((await removeWorkspace(world.place, ask)).decision).toMatchObject({
    do: "keep",
    reason: expect.stringContaining("HEAD is not on"),
  });
});

test("a removal that a crash interrupted is finished by the next one", async () => {
  await using world = await aWorld();
  const ask = world.ask();
  const { path } = await prepareWorkspace(world.place, ask);
  await mkdir(join(world.place.home, "workspaces/.trash"), { recursive: true });
  await runCommand(["mv", path, join(world.place.home, "workspaces/.trash/x")], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    timeoutMs: 5_000,
  });

  expect((await removeWorkspace(world.place, ask)).decision.do).toBe("nothing");

  expect(await readdir(join(world.place.home, "workspaces/.trash"))).toEqual([]);
  expect(await readdir(join(world.place.home, "ports"))).toEqual([]);
  expect((await prepareWorkspace(world.place, ask)).reused).toBe(false);
});
