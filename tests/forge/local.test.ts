/** The local forge over real repositories: the contract for a bare one and for a checkout, and what only the local one promises. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openLocalForge } from "../../src/forge/local.ts";
import { PullRequest } from "../../src/domain/task/pull-request.ts";
import { testForge, type ForgeWorld } from "../contracts/forge.ts";
import { testPullRequests, type PullRequestWorld } from "../contracts/pull-requests.ts";
import { testFleet } from "../support/fleet.ts";
import { commitFiles, newCheckout, runGit, testFolder, type TestFolder } from "../support/repositories.ts";

const aMerge = { number: 1, base: "main", strategy: "squash", title: "x", body: "" } as const;

testForge("local (bare)", () => openWorld("bare"));
testForge("local (checkout)", () => openWorld("checkout"));
testForge("local (URL)", () => openWorld("url"));
testPullRequests("local", openLocalWorld);

describe("a checkout", () => {
  test("is never changed, and the response says how to pull a merge", async () => {
    using folder = testFolder();
    const { forge, checkout, before } = aCheckout(folder);
    const repository = await forge.ensure(join(checkout, ".")); // From a folder below, too.
    const head = push({ folder, gitDir: repository.gitDir, branch: "fleet/x", files: { "x.txt": "x\n" } });

    const merged = await forge.merge(repository, {
      ...aMerge,
      head: "fleet/x",
      expectedHead: head,
    });

    expect(runGit(checkout, "rev-parse", "HEAD")).toBe(before);
    expect(runGit(checkout, "for-each-ref", "--format=%(refname)")).toBe("refs/heads/main");
    expect(merged.pullCommand).toBe(`git -C ${checkout} pull --ff-only ${repository.gitDir} main`);
    runGit(checkout, "pull", "--quiet", "--ff-only", repository.gitDir, "main");
    expect(runGit(checkout, "rev-parse", "HEAD")).toBe(merged.mergeSha);
  });

  test("its new commits and branches are mirrored", async () => {
    using folder = testFolder();
    const { forge, checkout } = aCheckout(folder);
    await forge.ensure(checkout);
    const next = commitFiles(checkout, { "b.txt": "b\n" });
    runGit(checkout, "branch", "topic");

    const repository = await forge.ensure(checkout);

    expect(await forge.headOf(repository, "main")).toBe(next);
    expect(await forge.headOf(repository, "topic")).toBe(next);
  });

  test("one that is behind a merge stays usable; one that has diverged is refused with instructions", async () => {
    using folder = testFolder();
    const { forge, checkout } = aCheckout(folder);
    const first = await forge.ensure(checkout);
    const head = push({ folder, gitDir: first.gitDir, branch: "fleet/x", files: { "x.txt": "x\n" } });
    const ask = { ...aMerge, head: "fleet/x", expectedHead: head, strategy: "merge" } as const;
    const { mergeSha } = await forge.merge(first, ask);

    const behind = await forge.ensure(checkout);
    expect(behind.diverged).toEqual([]);
    expect(await forge.headOf(behind, "main")).toBe(mergeSha);

    commitFiles(checkout, { "other.txt": "o\n" });
    const apart = await forge.ensure(checkout);
    expect(apart.diverged).toEqual(["main"]);
    await expect(forge.headOf(apart, "main")).rejects.toMatchObject({ code: "branch-diverged" });
    await expect(forge.merge(behind, ask)).rejects.toThrow(`git -C ${checkout} pull --rebase ${first.gitDir} main`);

    runGit(checkout, "pull", "--quiet", "--rebase", first.gitDir, "main");
    expect((await forge.ensure(checkout)).diverged).toEqual([]);
  });
});

describe("a checkout and its agents", () => {
  test("an agent cannot push to the operator's branches, push tags, or delete; it can push to its own branch", async () => {
    using folder = testFolder();
    const { forge, checkout } = aCheckout(folder);
    const { gitDir } = await forge.ensure(checkout);
    const clone = agentClone(folder, gitDir);
    commitFiles(clone, { "evil.txt": "e\n" });
    runGit(clone, "tag", "v1");

    expect(() => runGit(clone, "push", "origin", "HEAD:main")).toThrow(/operator's branch/);
    expect(() => runGit(clone, "push", "origin", "v1")).toThrow(/only branches/);
    runGit(clone, "push", "--quiet", "origin", "HEAD:fleet/mine");
    expect(() => runGit(clone, "push", "origin", ":fleet/mine")).toThrow(/delet/);
  });

  test("an agent's branch that the operator also has is not fetched from the checkout, and stays the agent's", async () => {
    using folder = testFolder();
    const { forge, checkout } = aCheckout(folder);
    const first = await forge.ensure(checkout);
    push({ folder, gitDir: first.gitDir, branch: "fleet/x", files: { "x.txt": "x\n" } });
    runGit(checkout, "fetch", "--quiet", first.gitDir, "fleet/x:fleet/x");
    await forge.ensure(checkout);
    const next = push({ folder, gitDir: first.gitDir, branch: "fleet/x", files: { "y.txt": "y\n" }, from: "fleet/x" });

    expect(await forge.headOf(await forge.ensure(checkout), "fleet/x")).toBe(next);
  });

  test("many concurrent requests for one new repository share it", async () => {
    using folder = testFolder();
    const { forge, checkout } = aCheckout(folder);

    const repositories = await Promise.all(Array.from({ length: 6 }, () => forge.ensure(checkout)));

    expect(new Set(repositories.map(({ gitDir }) => gitDir)).size).toBe(1);
    expect(readdirSync(folder.folder("home/forge")).filter((name) => name.endsWith(".draft"))).toEqual([]);
  });

  test("one without a commit is usable, but has no branch to build on", async () => {
    using folder = testFolder();
    const checkout = folder.folder("empty");
    runGit(checkout, "init", "--quiet");
    const forge = openLocalForge(folder.folder("home"));
    const repository = await forge.ensure(checkout);

    expect(repository.defaultBranch).toBe("main");
    await expect(forge.headOf(repository, "main")).rejects.toMatchObject({ code: "branch-not-found" });
  });

  test("a shallow clone is mirrored, too", async () => {
    using folder = testFolder();
    const { forge, checkout } = aCheckout(folder);
    commitFiles(checkout, { "b.txt": "b\n" });
    runGit(folder.path, "clone", "--quiet", "--depth=1", `file://${checkout}`, "shallow");
    const repository = await forge.ensure(join(folder.path, "shallow"));

    expect(await forge.headOf(repository, "main")).toBe(runGit(checkout, "rev-parse", "HEAD"));
  });
});

describe("a name", () => {
  test.each([
    ["relative/path", "no absolute path"],
    ["http://example.invalid/x.git", "no URL with https"],
    ["ext::sh -c touch% /tmp/x", "no URL with https"],
    ["https://user:secret@example.invalid/x.git", "holds credentials"],
    ["-upload-pack=x", "no absolute path"],
  ])("%s is refused", async (repository, why) => {
    const refused = openLocalForge("/nonexistent").identify(repository);

    await expect(refused).rejects.toMatchObject({ code: "not-a-repository" });
    await expect(refused).rejects.toThrow(why);
  });

  test("a path and a link to it are one repository; a folder inside .git is not a repository", async () => {
    using folder = testFolder();
    const { forge, checkout } = aCheckout(folder);
    runGit(folder.path, "init", "--quiet", "--bare", "bare.git");

    expect(await forge.identify(checkout)).toEqual({ repository: checkout, kind: "checkout", slug: "shop" });
    expect(await forge.identify(join(folder.path, "bare.git"))).toMatchObject({ kind: "bare", slug: "bare" });
    await expect(forge.identify(join(checkout, ".git", "refs"))).rejects.toMatchObject({ code: "not-a-repository" });
    await expect(forge.identify(folder.path)).rejects.toMatchObject({ code: "not-a-repository" });
    expect(await forge.identify("git@example.invalid:acme/Shop.git")).toMatchObject({ kind: "url", slug: "shop" });
  });

  test("a source that cannot be fetched from is unavailable, and leaves no half-created repository", async () => {
    using folder = testFolder();
    const home = folder.folder("home");
    const forge = openLocalForge(home);

    await expect(forge.ensure(`file://${folder.path}/nowhere.git`)).rejects.toMatchObject({
      code: "forge-unavailable",
    });
    expect(readdirSync(join(home, "forge")).filter((name) => name.endsWith(".git"))).toEqual([]);
  });
});

test("a forged trailer in an agent's commit or in a message does not pass for a merge", async () => {
  using folder = testFolder();
  const { forge, checkout } = aCheckout(folder);
  const repository = await forge.ensure(checkout);
  const victim = push({ folder, gitDir: repository.gitDir, branch: "fleet/victim", files: { "v.txt": "v\n" } });
  const clone = agentClone(folder, repository.gitDir);
  const liar = commitFiles(clone, { "l.txt": "l\n" }, `x\n\nFleetwright-Head: ${victim}`);
  runGit(clone, "push", "--quiet", "origin", "HEAD:fleet/liar");
  const body = `y\n\nFleetwright-Head: ${victim}`;
  await forge.merge(repository, { ...aMerge, head: "fleet/liar", expectedHead: liar, strategy: "merge", body });

  const merged = await forge.merge(repository, {
    ...aMerge,
    head: "fleet/victim",
    expectedHead: victim,
    body,
  });

  expect(merged.already).toBe(false);
});

test("a prefix that is not a valid branch name is refused", async () => {
  using folder = testFolder();
  const { forge, checkout } = aCheckout(folder);

  await expect(forge.listBranches(await forge.ensure(checkout), "fleet/*")).rejects.toMatchObject({
    code: "invalid-input",
  });
});

async function openWorld(kind: "bare" | "checkout" | "url"): Promise<ForgeWorld> {
  const folder = testFolder();
  const checkout = newCheckout(join(folder.path, "shop"));
  const bare = join(folder.path, "shop.git");
  runGit(folder.path, "clone", "--quiet", "--bare", checkout, bare);
  const repository = { bare, checkout, url: `file://${bare}` }[kind];
  const forge = openLocalForge(folder.folder("home"));
  const gitDir = async () => (await forge.ensure(repository)).gitDir;
  return {
    forge,
    repository,
    async push(branch, files, from) {
      if (branch !== "main") return push({ folder, gitDir: await gitDir(), branch, files, from });
      // The operator's own work: in the checkout, or pushed to the original repository.
      return kind === "checkout" ? commitFiles(checkout, files) : push({ folder, gitDir: bare, branch: "main", files });
    },
    async read(branch, file) {
      const dir = await gitDir();
      return existsSync(dir) && runGit(dir, "ls-tree", branch, file)
        ? `${runGit(dir, "show", `${branch}:${file}`)}\n`
        : undefined;
    },
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  };
}

async function openLocalWorld(): Promise<PullRequestWorld> {
  const fleet = await testFleet();
  return {
    fleet,
    repository: (checks) => fleet.aRepository({ test: checks === "passing" ? "true" : "exit 1" }),
    async read(repository, number) {
      const query = `select state, head_sha as "headSha", comments from pull_requests where repository = $1 and number = $2`;
      const [row] = await fleet.query(query, [repository, number]);
      const { state, headSha, comments } = PullRequest.pick({ state: true, headSha: true, comments: true }).parse(row);
      return { state, headSha, comments: comments.map(({ body }) => body) };
    },
    async setState(repository, number, state) {
      const update = "update pull_requests set state = $3 where repository = $1 and number = $2";
      await fleet.query(update, [repository, number, state]);
    },
    [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose](),
  };
}

function aCheckout(folder: TestFolder) {
  const checkout = newCheckout(join(folder.path, "shop"));
  return { checkout, forge: openLocalForge(folder.folder("home")), before: runGit(checkout, "rev-parse", "HEAD") };
}

let clones = 0;

function agentClone(folder: TestFolder, gitDir: string, from = "main"): string {
  const clone = join(folder.path, `agent-${++clones}`);
  runGit(folder.path, "clone", "--quiet", "--branch", from, gitDir, clone);
  return clone;
}

interface Push {
  readonly folder: TestFolder;
  readonly gitDir: string;
  readonly branch: string;
  readonly files: Readonly<Record<string, string>>;
  readonly from?: string | undefined;
}

function push({ folder, gitDir, branch, files, from = "main" }: Push): string {
  const clone = agentClone(folder, gitDir, from);
  const head = commitFiles(clone, files);
  runGit(clone, "push", "--quiet", "origin", `HEAD:${branch}`);
  return head;
}
