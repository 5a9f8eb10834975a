/**
 * What every forge promises about repositories and merges; what it promises about pull requests is in
 * pull-requests.ts.
 */
import { describe, expect, test } from "vitest";
import type { Forge, ForgeRepository, MergeRequest } from "../../src/forge/forge.ts";

export interface ForgeWorld extends AsyncDisposable {
  readonly forge: Forge;
  /** A repository whose main has README.md with one line, as an operator names it. */
  readonly repository: string;
  /**
   * Commits the files on the branch, created from `from` (main by default), and pushes it as an agent would; returns
   * its tip.
   */
  push: (branch: string, files: Readonly<Record<string, string>>, from?: string) => Promise<string>;
  /** The content of the file on the branch in the forge; undefined when it does not exist. */
  read: (branch: string, file: string) => Promise<string | undefined>;
}

export function testForge(name: string, open: () => Promise<ForgeWorld>): void {
  testReading(name, open);
  testMerging(name, open);
}

function testReading(name: string, open: () => Promise<ForgeWorld>): void {
  describe(`${name} forge: reading`, () => {
    test("ensuring twice gives the same repository, and its default branch", async () => {
      await using world = await open();
      const first = await world.forge.ensure(world.repository);

      expect(first.defaultBranch).toBe("main");
      expect(await world.forge.ensure(world.repository)).toEqual(first);
    });

    test("an address that is not a repository is refused", async () => {
      await using world = await open();

      await expect(world.forge.identify("/nowhere/at/all")).rejects.toMatchObject({ code: "not-a-repository" });
    });

    test("branches are listed with their tips, by prefix", async () => {
      await using world = await open();
      const tip = await world.push("fleet/one", { "a.txt": "a\n" });
      const repository = await world.forge.ensure(world.repository);

      expect(await world.forge.listBranches(repository, "fleet/")).toMatchObject([
        { branch: "fleet/one", headSha: tip },
      ]);
      expect((await world.forge.listBranches(repository, "")).map(({ branch }) => branch)).toEqual([
        "fleet/one",
        "main",
      ]);
      expect(await world.forge.headOf(repository, "fleet/one")).toBe(tip);
      await expect(world.forge.headOf(repository, "nope")).rejects.toMatchObject({ code: "branch-not-found" });
    });

    test("two branches are compared: their common base and the commits that each lacks", async () => {
      await using world = await open();
      const one = await world.push("fleet/one", { "a.txt": "a\n" });
      await world.push("fleet/two", { "b.txt": "b\n" });
      const repository = await world.forge.ensure(world.repository);
      const main = await world.forge.headOf(repository, "main");

      expect(await world.forge.compare(repository, "fleet/two", one)).toEqual({ mergeBase: main, ahead: 1, behind: 1 });
      expect(await world.forge.compare(repository, "main", "main")).toEqual({ mergeBase: main, ahead: 0, behind: 0 });
    });

    test("a diff shows what the head changed since it branched off, redacted and cut by file", async () => {
      await using world = await open();
      await world.push("fleet/one", { "a.txt": "SECRET\n", "b.txt": "b\n".repeat(500) });
      await world.push("main", { "c.txt": "later\n" });
      const repository = await world.forge.ensure(world.repository);
      const ask = {
        base: "main",
        head: "fleet/one",
        caps: { maxPerFile: 400, maxTotal: 10_000 },
        redact: hideSecret,
      };
      const diff = await world.forge.diff(repository, ask);

      expect(diff.files).toEqual([
        { path: "a.txt", added: 1, removed: 0, cut: "whole" },
        { path: "b.txt", added: 500, removed: 0, cut: "part" },
      ]);
      expect(diff.text).toContain("+***");
      expect(diff.truncated).toBe(true);
    });
  });
}

function testMerging(name: string, open: () => Promise<ForgeWorld>): void {
  describe(`${name} forge: merging`, () => {
    test.each(["squash", "merge"] as const)("%s merges the change, once", async (strategy) => {
      await using world = await open();
      const { repository, ask } = await aChange(world, { strategy });
      await world.push("main", { "later.txt": "x\n" });

      const merged = await world.forge.merge(repository, ask);
      const again = await world.forge.merge(repository, ask);

      expect(merged.already).toBe(false);
      expect(again).toMatchObject({ already: true, mergeSha: merged.mergeSha });
      expect(await world.read("main", "a.txt")).toBe("a\n");
      expect(await world.read("main", "later.txt")).toBe("x\n");
    });

    test("a conflict is refused with its files, and no branch moves", async () => {
      await using world = await open();
      const { repository, ask } = await aChange(world, {}, { "README.md": "mine\n" });
      const main = await world.push("main", { "README.md": "theirs\n" });

      await expect(world.forge.merge(repository, ask)).rejects.toMatchObject({
        code: "merge-conflict",
        facts: { files: ["README.md"] },
      });
      expect(await world.forge.headOf(await world.forge.ensure(world.repository), "main")).toBe(main);
    });

    test("a head with newer commits than the reviewed ones is refused", async () => {
      await using world = await open();
      const { repository, ask } = await aChange(world, {});
      await world.push("fleet/one", { "b.txt": "b\n" }, "fleet/one");

      await expect(world.forge.merge(repository, ask)).rejects.toMatchObject({ code: "head-moved" });
      expect(await world.read("main", "a.txt")).toBeUndefined();
    });

    test("two concurrent merges both succeed, one after the other", async () => {
      await using world = await open();
      const one = await aChange(world, {});
      const two = await aChange(world, { head: "fleet/two" }, { "b.txt": "b\n" });

      const merges = await Promise.all([one, two].map(({ repository, ask }) => world.forge.merge(repository, ask)));

      expect(merges.map(({ already }) => already)).toEqual([false, false]);
      expect(await world.read("main", "a.txt")).toBe("a\n");
      expect(await world.read("main", "b.txt")).toBe("b\n");
    });

    test("a missing branch is refused", async () => {
      await using world = await open();
      const { repository, ask } = await aChange(world, {});

      await expect(world.forge.merge(repository, { ...ask, base: "nope" })).rejects.toMatchObject({
        code: "branch-not-found",
      });
      await expect(world.forge.merge(repository, { ...ask, head: "--all" })).rejects.toMatchObject({
        code: "invalid-input",
      });
    });
  });
}

function hideSecret(text: string): string {
  return text.replaceAll("SECRET", "***");
}

async function aChange(
  world: ForgeWorld,
  overrides: Partial<MergeRequest>,
  files: Readonly<Record<string, string>> = { "a.txt": "a\n" },
): Promise<{ repository: ForgeRepository; ask: MergeRequest }> {
  const head = overrides.head ?? "fleet/one";
  const expectedHead = await world.push(head, files);
  const repository = await world.forge.ensure(world.repository);
  const branches = { base: "main", head };
  const text = { title: "Add it", body: "" };
  // A forge that stores pull requests merges only what has one.
  const request = { title: text.title, headBranch: head, baseBranch: branches.base };
  const number = (await world.forge.pullRequests?.open(repository, request)) ?? 1;
  return { repository, ask: { number, ...branches, expectedHead, strategy: "squash", ...text, ...overrides } };
}
