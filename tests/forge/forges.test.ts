/** The table of forges: a forge is added by one file and one row, and gets the repositories that it hosts. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Product } from "../../src/domain/product.ts";
import { FORGES, openForges } from "../../src/forge/forges.ts";
import { testForge, type ForgeWorld } from "../contracts/forge.ts";
import { testPullRequests, type PullRequestWorld } from "../contracts/pull-requests.ts";
import { testFleet } from "../support/fleet.ts";
import { commitFiles, newCheckout, runGit, testFolder } from "../support/repositories.ts";
import { secondForge } from "./second-forge.ts";

test("a repository belongs to the first forge that hosts its address, and else to the local one", () => {
  const forges = openForges({ home: "/nonexistent" }, [secondForge().type, ...FORGES]);

  expect(forges.of("file:///srv/shop.git").pullRequestUrl("file:///srv/shop.git", 7)).toBe(
    "file:///srv/shop.git/pull/7",
  );
  for (const address of ["/srv/shop.git", "https://a.example/shop.git", "git@a.example:shop.git"]) {
    expect(forges.of(address).pullRequestUrl(address, 7)).toBe(`${address}#7`);
  }
});

testForge("a second", openForgeWorld);
testPullRequests("a second", openSecondWorld);

async function openForgeWorld(): Promise<ForgeWorld> {
  const folder = testFolder();
  const repository = aBareRepository(folder.path);
  const forge = secondForge().type.open({ home: folder.folder("home") });
  const { gitDir } = await forge.ensure(repository);
  return {
    forge,
    repository,
    async push(branch, files, from = "main") {
      // The operator pushes to the original repository, agents to the forge's copy.
      const remote = branch === "main" ? repository : gitDir;
      const clone = folder.folder(`clone-${performance.now()}`);
      runGit(folder.path, "clone", "--quiet", "--branch", from, remote, clone);
      const head = commitFiles(clone, files);
      runGit(clone, "push", "--quiet", "origin", `HEAD:${branch}`);
      return head;
    },
    read: async (branch, file) =>
      existsSync(gitDir) && runGit(gitDir, "ls-tree", branch, file)
        ? `${runGit(gitDir, "show", `${branch}:${file}`)}\n`
        : undefined,
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  };
}

async function openSecondWorld(): Promise<PullRequestWorld> {
  const folder = testFolder();
  const second = secondForge();
  const forges = openForges({ home: folder.folder("home") }, [second.type, ...FORGES]);
  const fleet = await testFleet({ parts: { forges } });
  const find = (repository: string, number: number) => {
    const found = second.stored.find((one) => one.repository === repository && one.number === number);
    if (!found) throw new Error(`${repository} has no pull request ${number}.`);
    return found;
  };
  return {
    fleet,
    async repository(checks) {
      second.checks = checks;
      const repository = aBareRepository(folder.path);
      fleet.fleet.settings.products.push(Product.parse({ id: "shop", repository }));
      return repository;
    },
    async read(repository, number) {
      const { state, branch, comments } = find(repository, number);
      const forge = forges.of(repository);
      const headSha = await forge.headOf(await forge.ensure(repository), branch);
      return { state, headSha, comments: [...comments.values()] };
    },
    async setState(repository, number, state) {
      find(repository, number).state = state;
    },
    async [Symbol.asyncDispose]() {
      await fleet[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** With one commit on main; returns its address, which the second forge hosts. */
function aBareRepository(folder: string): string {
  const bare = join(folder, "shop.git");
  if (!existsSync(bare)) runGit(folder, "clone", "--quiet", "--bare", newCheckout(join(folder, "seed")), bare);
  return `file://${bare}`;
}
