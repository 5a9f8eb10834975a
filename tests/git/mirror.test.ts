/** Mirrors follow the forge, preserve the agents' branches, and survive crashes and concurrency. */
import { mkdir, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { git } from "../../src/git/git.ts";
import { missingBranchError, mirrorOf, openMirrors, readRefs } from "../../src/git/mirror.ts";
import { temporaryHome } from "../support/home.ts";
import { aForgeRepository, commitFiles } from "./repositories.ts";

test("a mirror has the forge's branches and the agents'", async () => {
  await using home = await temporaryHome();
  const forge = await aForgeRepository(home.path);
  const mirrors = openMirrors({ home: home.path });

  const mirror = await mirrors.fetch(forge.url);

  const refs = await readRefs(mirror, ["refs/remotes/origin/main", "refs/heads/main"]);
  expect([...refs.keys()]).toEqual(["refs/remotes/origin/main"]);
});

test("fetching brings new commits and does not change the agents' branches", async () => {
  await using home = await temporaryHome();
  const forge = await aForgeRepository(home.path);
  const mirrors = openMirrors({ home: home.path });
  const mirror = await mirrors.fetch(forge.url);
  const before = (await git(["rev-parse", "refs/remotes/origin/main"], { gitDir: mirror.path })).trim();
  await git(["update-ref", "refs/heads/fleet/x", before], { gitDir: mirror.path });
  const sha = await commitFiles(forge.work, { b: "2" }, "Second");
  await git(["push", "--quiet", forge.url, "main"], { cwd: forge.work, allowProtocol: "file" });

  await mirrors.fetch(forge.url);

  const refs = await readRefs(mirror, ["refs/remotes/origin/main", "refs/heads/fleet/x"]);
  expect(refs.get("refs/remotes/origin/main")).toBe(sha);
  expect(refs.get("refs/heads/fleet/x")).toBe(before);
});

test("concurrent callers all get an up-to-date mirror", async () => {
  await using home = await temporaryHome();
  const forge = await aForgeRepository(home.path);
  const others = [openMirrors({ home: home.path }), openMirrors({ home: home.path })];

  await Promise.all(Array.from({ length: 12 }, async (_, at) => others[at % 2]?.fetch(forge.url)));

  expect((await readRefs(mirrorOf(home.path, forge.url), ["refs/remotes/origin/main"])).size).toBe(1);
});

test("a missing repository is refused by name, and leaves no half-created mirror", async () => {
  await using home = await temporaryHome();
  const mirrors = openMirrors({ home: home.path });

  await expect(mirrors.fetch("/no/such/repo.git")).rejects.toMatchObject({
    code: "workspace-refused",
    message: "There is no git repository at /no/such/repo.git.",
  });

  expect((await readdir(join(home.path, "mirrors"))).filter((name) => name.endsWith(".git"))).toEqual([]);
});

test("a forge that does not respond is unavailable, not refused", async () => {
  await using home = await temporaryHome();

  await expect(openMirrors({ home: home.path }).fetch("https://127.0.0.1:9/x.git")).rejects.toMatchObject({
    code: "forge-unavailable",
  });
});

test("the refusal of a missing branch lists the existing ones", async () => {
  await using home = await temporaryHome();
  const forge = await aForgeRepository(home.path);
  const mirror = await openMirrors({ home: home.path }).fetch(forge.url);

  expect((await missingBranchError(mirror, "master")).message).toContain("There is no branch master in");
  expect((await missingBranchError(mirror, "master")).message).toContain("It has: main.");
});

test("a lock file of a git process that was killed long ago does not stop the next fetch", async () => {
  await using home = await temporaryHome();
  const forge = await aForgeRepository(home.path);
  const mirrors = openMirrors({ home: home.path });
  const mirror = await mirrors.fetch(forge.url);
  await commitFiles(forge.work, { b: "2" }, "Second");
  await git(["push", "--quiet", forge.url, "main"], { cwd: forge.work, allowProtocol: "file" });
  const lock = join(mirror.path, "refs/remotes/origin/main.lock");
  await mkdir(join(lock, ".."), { recursive: true });
  await writeFile(lock, "");

  await expect(mirrors.fetch(forge.url)).rejects.toThrow(/File exists/);
  await utimes(lock, new Date(0), new Date(0));
  await mirrors.fetch(forge.url);

  await rm(lock, { force: true });
});
