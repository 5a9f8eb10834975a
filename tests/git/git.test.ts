/** git runs in its own controlled environment, and its failures are explained. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { redactUrl } from "../../src/domain/text/redact-url.ts";
import { git, tryGit } from "../../src/git/git.ts";
import { parseRepositoryAddress, repositoryFolder } from "../../src/git/repository-url.ts";
import { temporaryHome } from "../support/home.ts";
import { commitFiles } from "./repositories.ts";

test("a failure contains git's own last lines", async () => {
  await expect(git(["rev-parse", "no-such-ref"], { cwd: "/" })).rejects.toMatchObject({
    code: "git-failed",
    message: expect.stringContaining("not a git repository"),
  });
});

test("the hooks of a repository do not run", async () => {
  await using home = await temporaryHome();
  await git(["init", "--quiet", home.path]);
  await mkdir(join(home.path, ".git/hooks"), { recursive: true });
  await writeFile(join(home.path, ".git/hooks/pre-commit"), "#!/bin/sh\ntouch ran\n", { mode: 0o755 });
  await git(["config", "core.hooksPath", ".git/hooks"], { cwd: home.path });

  await commitFiles(home.path, { a: "1" }, "First");

  expect((await tryGit(["ls-files", "--others"], { cwd: home.path })).stdout).toBe("");
});

test("no transport may be used unless the call allows it", async () => {
  await using home = await temporaryHome();

  const result = await tryGit(["ls-remote", `file://${home.path}`]);

  expect(result.stderr).toContain("transport 'file' not allowed");
});

test("a repository of another user can be read, because the operator named it", async () => {
  expect(await git(["config", "--get", "safe.directory"])).toBe("*\n");
});

test("addresses that git would interpret differently are refused", () => {
  for (const address of [
    "--upload-pack=x",
    "ext::sh -c id",
    "relative/path",
    "http://a/b",
    "/a\nb",
    "git://a/b",
    "ssh://-oProxyCommand=id/x",
    "ssh://a/-x",
    "https://me:secret@a/b",
    "https://a b/c",
  ]) {
    expect(() => parseRepositoryAddress(address)).toThrow(/is refused/);
  }
});

test("addresses of each allowed kind are accepted", () => {
  for (const address of [
    "/srv/shop.git",
    "https://a.example/x.git",
    "ssh://git@a/x",
    "git@a.example:x/y.git",
    "file:///x",
  ]) {
    expect(parseRepositoryAddress(address).address).toBe(address);
  }
  expect(parseRepositoryAddress("/srv//shop.git/").address).toBe("/srv/shop.git");
});

test("repositories of the same name get different folders, and credentials are not shown", () => {
  expect(repositoryFolder("/a/shop.git")).toMatch(/^shop-[0-9a-f]{12}$/);
  expect(repositoryFolder("/a/shop.git")).not.toBe(repositoryFolder("/b/shop.git"));
  expect(redactUrl("https://me:secret@a.example/x")).toBe("https://a.example/x");
});

test("the trusted configuration has no identity: each call names the committer", async () => {
  const text = await readFile(new URL("../../src/git/trusted.gitconfig", import.meta.url), "utf8");

  expect(text).not.toContain("[user]");
});
