/** gc on a host: what is collected and what stays, the same in a dry run; in two steps, of which the first can be undone. */
import { execSync } from "node:child_process";
import { mkdir, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { aRun, collect, runFolder, reportSubjects } from "../../support/collected.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

const exists = async (path: string) => (await stat(path).catch(() => undefined)) !== undefined;
const DAY_MS = 86_400_000;

/** Creates runs of one product, the newest first, and returns their ids. */
async function runs(fleet: TestFleet, count: number, more: Partial<Parameters<typeof aRun>[1]> = {}) {
  const ids: string[] = [];
  for (let hours = 1; hours <= count; hours += 1) ids.push(await aRun(fleet, { hours, ...more }));
  return ids;
}

test("of fifteen runs ten stay, and those that are protected; a dry run lists exactly what is then collected", async () => {
  await using fleet = await testFleet();
  const ids = await runs(fleet, 15);
  await fleet.query("update runs set pinned = true where id = $1", [ids[10]]);
  await fleet.query("update runs set release = 'v1' where id = $1", [ids[11]]);
  await fleet.query("update runs set status = 'success' where id = any($1)", [[ids[12], ids[13]]]);
  await fleet.query("update runs set status = 'in_progress', ended_at = null where id = $1", [ids[14]]);
  const elsewhere = await aRun(fleet, { hours: 40, host: "there" });

  const planned = await collect(fleet, { dryRun: true });
  expect(await fleet.query("select id from gc_marks")).toEqual([]);
  const done = await collect(fleet);

  expect(planned.gone.map(({ subject }) => subject)).toEqual([ids[13]]);
  expect(reportSubjects(done)).toEqual(reportSubjects(planned));
  expect(planned.gone[0]).toMatchObject({
    outcome: "would",
    reason: "older than the newest 10 of shop",
    product: "shop",
  });
  expect(done.gone[0]?.bytes).toBeGreaterThan(0);
  expect(planned.kept).toEqual(done.kept);
  expect(Object.fromEntries(done.kept.map(({ reason, count }) => [reason, count]))).toEqual({
    "one of the newest 10": 10,
    "it is pinned": 1,
    "it belongs to release v1": 1,
    "the last success of validate": 1,
    "it is running": 1,
    "its files are on there": 1,
  });
  expect(await exists(await runFolder(fleet, elsewhere))).toBe(true);
  expect(reportSubjects(await collect(fleet))).toEqual([]);
});

test("a quarantined run is restored by its restore command, and then stays", async () => {
  await using fleet = await testFleet({ settings: { gc: { keepRuns: 1 } } });
  const [newest, old] = await runs(fleet, 2);
  const folder = await runFolder(fleet, String(old));
  const { gone } = await collect(fleet);
  expect(gone).toMatchObject([{ subject: old, outcome: "put-aside" }]);
  expect(await exists(folder)).toBe(false);
  expect(await fleet.query("select id from runs where collected_at is null")).toEqual([{ id: newest }]);

  execSync(String(gone[0]?.restore));
  expect((await collect(fleet)).gone).toEqual([]);

  expect(await readdir(folder)).toEqual(["output.log"]);
  expect(await fleet.query("select pinned from runs where id = $1 and collected_at is null", [old])).toEqual([
    { pinned: true },
  ]);
  const actions = await fleet.query(
    "select action, detail->>'restore' as restore from audit_log where action like 'gc.%' order by seq",
  );
  expect(actions).toEqual([
    { action: "gc.put_aside", restore: gone[0]?.restore },
    { action: "gc.taken_back", restore: null },
  ]);
});

test("after the grace period a run is deleted with its rows, and not a minute earlier", async () => {
  let now = new Date();
  await using fleet = await testFleet({
    settings: { gc: { keepRuns: 1, graceMinutes: 60 } },
    parts: { clock: () => now },
  });
  const [, old] = await runs(fleet, 2);
  await collect(fleet);
  const start = now.getTime();

  now = new Date(start + 59 * 60_000);
  expect((await collect(fleet)).swept).toEqual([]);
  now = new Date(start + 60 * 60_000);
  const planned = await collect(fleet, { dryRun: true });
  const { swept } = await collect(fleet);

  expect(planned.swept).toEqual(swept);
  expect(swept).toMatchObject([{ kind: "run", subject: old }]);
  expect(await readdir(join(fleet.home, "runs", ".trash"))).toEqual([]);
  expect(await fleet.query("select run_id from artifacts where run_id = $1", [old])).toEqual([]);
  expect((await collect(fleet)).swept).toEqual([]);
});

test.each(["gc:marked", "gc:renamed", "gc:deleted"])(
  "a crash at %s leaves a state that the next pass repairs",
  async (point) => {
    let armed = false;
    let now = new Date();
    const faultPoint = async (at: string) => {
      if (armed && at === point) throw new Error("killed");
    };
    await using fleet = await testFleet({
      settings: { gc: { keepRuns: 1, graceMinutes: 1 } },
      parts: { faultPoint, clock: () => now },
    });
    const [newest, old] = await runs(fleet, 2);
    if (point === "gc:deleted") {
      await collect(fleet);
      now = new Date(now.getTime() + 120_000);
    }
    armed = true;
    await collect(fleet).catch(() => undefined);
    armed = false;

    await collect(fleet);
    now = new Date(now.getTime() + 120_000);
    await collect(fleet);
    await collect(fleet);

    expect(await readdir(join(fleet.home, "runs", ".trash"))).toEqual([]);
    expect(await exists(await runFolder(fleet, String(old)))).toBe(false);
    expect(await exists(await runFolder(fleet, String(newest)))).toBe(true);
    expect(await fleet.query("select id from runs where collected_at is null")).toEqual([{ id: newest }]);
    expect(await fleet.query("select id from gc_marks where swept_at is null")).toEqual([]);
  },
);

test("a link in the place of a product's folder is not followed: its target stays", async () => {
  await using fleet = await testFleet({ settings: { gc: { keepRuns: 1 } } });
  const [, old] = await runs(fleet, 2, { productId: "shop" });
  const precious = join(fleet.home, "..", "precious");
  await mkdir(join(precious, String(old)), { recursive: true });
  await writeFile(join(precious, String(old), "work"), "do not lose");
  execSync(`rm -rf "${join(fleet.home, "runs", "shop")}"`);
  await symlink(precious, join(fleet.home, "runs", "shop"));

  const { gone } = await collect(fleet);

  expect(gone).toMatchObject([{ outcome: "failed", why: expect.stringMatching(/is not below/) }]);
  expect(await exists(join(precious, String(old), "work"))).toBe(true);
  expect(await fleet.query("select id from gc_marks")).toEqual([]);
});

test("dead sockets, folders of pruned tasks and old snapshots are collected; live and new ones stay", async () => {
  let now = new Date();
  await using fleet = await testFleet({ parts: { clock: () => now } });
  const at = (...names: string[]) => join(fleet.home, ...names);
  const unknown = "01990000-0000-7000-8000-000000000001";
  for (const folder of ["tmux", "snapshots/abc-0", `attempts/${unknown}/0`, "workspaces/deadbeef", "runs/shop/.keep"]) {
    await mkdir(at(folder), { recursive: true });
  }
  execSync(`python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind("${at("tmux", "old.sock")}")'`);
  const server = createServer().listen(at("tmux", "live.sock"));
  await new Promise((resolve) => server.once("listening", resolve));

  const kinds = async () =>
    (await collect(fleet, { dryRun: true })).gone.map(({ kind, subject }) => `${kind} ${subject}`);
  expect(await kinds()).toEqual(["socket old.sock"]);
  now = new Date(now.getTime() + 2 * DAY_MS);
  expect(await kinds()).toEqual(["workspace deadbeef", "socket old.sock", `attempt ${unknown}`]);
  now = new Date(now.getTime() + 30 * DAY_MS);
  const done = await collect(fleet);

  expect(done.gone.map(({ kind }) => kind)).toEqual(["workspace", "snapshot", "socket", "attempt"]);
  expect(done.gone.every(({ outcome }) => outcome === "put-aside")).toBe(true);
  expect(await exists(at("tmux", "live.sock"))).toBe(true);
  now = new Date(now.getTime() + 2 * DAY_MS);
  expect((await collect(fleet)).swept).toHaveLength(4);
  server.close();
});
