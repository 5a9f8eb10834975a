/**
 * Collecting the facts about an agent takes a while: they must not contradict each other, whatever happens meanwhile.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openObserver } from "../../../src/agents/attempt/facts.ts";
import { eventually } from "../../support/eventually.ts";
import { anAgentWorld, sh } from "../agent-world.ts";

test("an agent that commits and ends during a probe is not reported as ended without a commit", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn(sh("sleep 2; echo done > done.txt; git add done.txt; git commit -qm done"));
  // tmux responds late: meanwhile the branches have been read, and the agent ends.
  const listActive = async () => {
    await eventually(() => Promise.resolve(existsSync(join(run.dir, "exit.json")) || undefined), 30_000);
    return world.tmux.listActive();
  };
  const { home, options } = world;
  const observer = openObserver({ home, runtime: { ...world.tmux, listActive }, clock: options.clock });

  const [during] = (await observer.observe()).facts;
  const [after] = (await observer.observe()).facts;

  expect(during).toMatchObject({ exit: null, commitsAhead: 0 });
  expect(after).toMatchObject({ exit: { code: 0 }, commitsAhead: 1 });
});
