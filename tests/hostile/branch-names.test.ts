/** Hostile branch names, over HTTP and the CLI: refused by name without a task; accepted ones are valid for git. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { branchFor, isBranchName } from "../../src/domain/task/branch.ts";
import { tryGit } from "../../src/git/git.ts";
import { aTestClient, type TestClient } from "./asker.ts";
import { About, aTrap, parseCases, Text } from "./cases.ts";
import file from "./branch-names.json" with { type: "json" };

const cases = parseCases(z.strictObject({ ...About, branch: Text, taken: z.boolean() }), file);
const refused = cases.filter(({ taken }) => !taken);
const taken = cases.filter((hostile) => hostile.taken);
/** A program cannot be given a NUL, an unpaired surrogate, or an argument of a megabyte. */
const typed = refused.filter(({ branch }) => !/\0|\{half\}/.test(branch) && branch.length < 10_000);

const trap = aTrap();
let asker: TestClient;
beforeAll(async () => {
  asker = await aTestClient();
});
afterAll(async () => {
  trap.expectUnsprung();
  trap[Symbol.dispose]();
  await asker[Symbol.asyncDispose]();
});

const request = (more: object) => ({
  repository: asker.repository,
  description: "x",
  agentType: "stub",
  script: "hang",
  ...more,
});
const isGits = async (name: string) =>
  (await tryGit(["check-ref-format", "--branch", name], { cwd: "/" })).exitCode === 0;

describe("refused, and no task is created:", () => {
  test.each(refused)("$name", async ({ branch }) => {
    const before = await asker.tasks();
    const name = trap.fill(branch);

    expect(await asker.ask("POST", "/spawn", request({ branch: name }))).toMatchObject({
      status: 422,
      code: "invalid-input",
    });
    expect(await asker.ask("POST", "/spawn", request({ baseBranch: name }))).toMatchObject({
      status: 422,
      code: "invalid-input",
    });
    expect(await asker.tasks()).toBe(before);
  });

  test.each(typed)("on the command line: $name", async ({ branch }) => {
    const before = await asker.tasks();

    const { exit, out } = await asker.type("spawn", asker.repository, "x", `--branch=${trap.fill(branch)}`);

    expect({ exit, out }).toEqual({ exit: 2, out: "" });
    expect(await asker.tasks()).toBe(before);
  });
});

describe("accepted unchanged:", () => {
  test.each(taken)("$name", async ({ branch }) => {
    expect(await isGits(branch)).toBe(true);
    expect(await asker.ask("POST", "/spawn", request({ branch }))).toMatchObject({ status: 201, body: { branch } });
  });
});

test.each(file.titles)("the title %j gives a valid branch name", async (title) => {
  const branch = branchFor("019b0000-0000-7000-8000-0123456789ab", trap.fill(title));

  expect(isBranchName(branch)).toBe(true);
  expect(await isGits(branch)).toBe(true);
});
