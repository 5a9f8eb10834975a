/** The main path, step by step: from the request to merged, with a check that fails once and a reviewer who objects once. */
import { expect, test } from "vitest";
import { mergeTask } from "../../../src/conductor/delivery/merge.ts";
import { testFleet } from "../../support/fleet.ts";
import { runGit } from "../../support/repositories.ts";

test("a successful task becomes ready, and one command merges it", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const repository = await fleet.aRepository();

  const task = await fleet.spawn(by, { repository });
  const ready = await fleet.runUntil(task.id, "ready");
  await mergeTask(fleet.fleet, by, ready);

  const merged = await fleet.read(task.id);
  expect(merged).toMatchObject({ status: "merged", attempt: 0, retryCount: 0, ciStatus: "passing" });
  expect(runGit(repository, "log", "--format=%s", "-1", "HEAD")).toBeTypeOf("string");
});

test.each(["fail-then-fix", "objectionable-then-fix"])("%s is fixed by its second attempt", async (script) => {
  await using fleet = await testFleet();
  const by = await fleet.operator();

  const task = await fleet.spawn(by, { repository: await fleet.aRepository(), script });
  const ready = await fleet.runUntil(task.id, "ready");

  expect(ready).toMatchObject({ attempt: 1, retryCount: 1 });
});
