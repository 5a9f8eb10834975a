/**
 * gc during spawns: a thousand tasks and working copies are created while the host collects, and none of them is
 * touched.
 */
import { mkdir, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { shortId } from "../../src/domain/task/task.ts";
import { admitTask } from "../../src/store/tasks.ts";
import { aNewTask, anEvent } from "../support/builders.ts";
import { collect } from "../support/collected.ts";
import { eventually } from "../support/eventually.ts";
import { testFleet } from "../support/fleet.ts";

const ROUNDS = 1_000;
const LANES = 20;
const DAY_MS = 86_400_000;

test(`of ${ROUNDS} working copies that are created while gc runs, none is touched; the leftovers among them are collected`, async () => {
  // Two days ahead, so that nothing is spared for being new: the rows alone protect.
  await using fleet = await testFleet({ parts: { clock: () => new Date(Date.now() + 2 * DAY_MS) } });
  const by = await fleet.operator();
  await mkdir(join(fleet.home, "workspaces"), { recursive: true });
  const root = await realpath(join(fleet.home, "workspaces"));
  const random = seeded(7);
  const touched: string[] = [];
  let passes = 0;
  let made = 0;
  let leftovers = 0;

  /** As a spawn does it: the row, then the folder. After a whole pass it must be unchanged. */
  async function spawn(): Promise<void> {
    const ask = aNewTask(by);
    await pause(random() * 4);
    const admission = { limit: ROUNDS, hints: [], event: anEvent() };
    await fleet.fleet.store.asSystem((tx) => admitTask(tx, ask, admission));
    const path = join(root, shortId(ask.id));
    await mkdir(path);
    await writeFile(join(path, "work"), ask.id);
    await passed(passes + 2);
    if ((await readFile(join(path, "work"), "utf8").catch(() => "")) !== ask.id) touched.push(path);
    await rm(path, { recursive: true, force: true });
    await fleet.query("update fleet_tasks set status = 'cancelled', completed_at = now() where id = $1", [ask.id]);
  }

  const passed = (count: number) => eventually(async () => passes >= count || undefined, 30_000);

  async function lane(): Promise<void> {
    while (made < ROUNDS) {
      made += 1;
      await spawn();
    }
  }

  /** Repeats while there are spawns to race with. */
  async function collector(spawning: Promise<unknown>): Promise<void> {
    const state = { isOver: false };
    void spawning.finally(() => Object.assign(state, { isOver: true }));
    while (!state.isOver) {
      if (passes % 5 === 0) await mkdir(join(root, `dead${String((leftovers += 1)).padStart(4, "0")}`));
      await collect(fleet);
      passes += 1;
    }
  }

  const spawning = Promise.all(Array.from({ length: LANES }, lane));
  await Promise.all([spawning, collector(spawning)]);
  await collect(fleet);

  expect(made).toBe(ROUNDS);
  expect(touched).toEqual([]);
  expect((await readdir(root)).filter((name) => !name.startsWith("."))).toEqual([]);
  expect(await readdir(join(root, ".trash"))).toHaveLength(leftovers);
}, 60_000);

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
