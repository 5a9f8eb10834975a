/**
 * The main path as an operator runs it: the built program, three tasks until ready, one merged; also through `kill
 * -9`.
 */
import { randomBytes } from "node:crypto";
import { expect, inject, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { runGit } from "../support/repositories.ts";
import { aStack } from "../support/stack.ts";

const SCRIPTS = ["succeed", "fail-then-fix", "objectionable-then-fix"] as const;
/** It takes 20 s alongside one other test file, and longer on a busy machine. */
const TIMEOUT_MS = 180_000;
const PATIENCE_MS = 100_000;
const BACKENDS = ["redis", "postgres"] as const;

const stackOn = (backend: (typeof BACKENDS)[number]) =>
  aStack(backend === "redis" ? { redisUrl: inject("redisUrl") } : {}, `e${randomBytes(5).toString("hex")}`);
type Stack = Awaited<ReturnType<typeof stackOn>>;

const spawnWords = (script: string) => ["spawn", ".", `Play ${script}`, "--agent-type", "stub", "--script", script];

/** What must hold however often the program was interrupted. */
async function expectWhole(stack: Stack) {
  expect(JSON.parse((await stack.fleet("invariants", "--json")).stdout)).toMatchObject({ ok: true });
  expect(await stack.fleet("audit", "verify")).toMatchObject({ code: 0 });
  expect(
    await stack.query(
      "select count(*)::int as n from pull_requests where state = 'open' group by repository, head_branch having count(*) > 1",
    ),
  ).toEqual([]);
  expect(await stack.query("select task_id from attempts group by task_id, attempt having count(*) > 1")).toEqual([]);
}

test.concurrent.each(BACKENDS)(
  "with queues on %s three tasks become ready, one is merged, and each can be inspected",
  async (backend) => {
    await using stack = await stackOn(backend);
    await stack.up();

    const waited = await Promise.all(SCRIPTS.map((script) => stack.fleet(...spawnWords(script), "--wait")));
    expect(waited.map(({ code, stderr }) => [code, stderr])).toEqual(waited.map(() => [0, ""]));

    const rows = await stack.query("select id, status, attempt from fleet_tasks order by created_at");
    expect(rows.map(({ status }) => status)).toEqual(["ready", "ready", "ready"]);
    expect(rows.map(({ attempt }) => Number(attempt)).toSorted((a, b) => a - b)).toEqual([0, 1, 1]);
    const id = String(rows[0]?.["id"]);
    expect(JSON.stringify(JSON.parse((await stack.fleet("show", id, "--json")).stdout))).toContain(id);
    expect((await stack.fleet("logs", id)).stdout).toContain("Stub agent, script");
    expect((await stack.fleet("ps")).stdout).toContain(id.slice(-8));
    const merged = await stack.fleet("merge", id);
    expect(merged).toMatchObject({ code: 0 });
    expect(await stack.query("select status from fleet_tasks where id = $1", [id])).toEqual([{ status: "merged" }]);
    expect((await stack.fleet("stop", id)).code).toBe(1);
    expect((await stack.fleet("show", "ffffffff")).code).toBe(3);
    await expectWhole(stack);

    expect(await stack.down()).toBe(0);
  },
  TIMEOUT_MS,
);

test.concurrent.each(BACKENDS)(
  "with queues on %s the program is killed while it works, started again, and the result is the same",
  async (backend) => {
    await using stack = await stackOn(backend);
    await stack.up();
    for (const script of SCRIPTS) expect((await stack.fleet(...spawnWords(script))).code).toBe(0);

    // Three times, at whatever point it has reached.
    for (const status of ["spawning", "running", "reviewing"]) {
      await eventually(async () => {
        const rows = await stack.query("select status from fleet_tasks where status = $1 or status = 'ready'", [
          status,
        ]);
        return rows.length > 0 ? true : undefined;
      }, PATIENCE_MS);
      await stack.kill();
      await stack.up();
    }

    await eventually(async () => {
      const rows = await stack.query("select status from fleet_tasks where status <> 'ready'");
      return rows.length === 0 ? true : undefined;
    }, PATIENCE_MS);
    const rows = await stack.query("select attempt, retry_count from fleet_tasks order by attempt");
    expect(rows).toEqual([
      { attempt: 0, retry_count: 0 },
      { attempt: 1, retry_count: 1 },
      { attempt: 1, retry_count: 1 },
    ]);
    for (const branch of await stack.query("select branch, head_sha, repository from fleet_tasks")) {
      expect(branch["head_sha"]).toMatch(/^[0-9a-f]{40}$/);
    }
    expect(runGit(stack.repository, "status", "--porcelain")).toBe("");
    await expectWhole(stack);
  },
  TIMEOUT_MS,
);

test.concurrent(
  "agents outlive the program: it is stopped gracefully while they work, and adopts them when it is started again",
  async () => {
    await using stack = await stackOn("redis");
    await stack.up();
    await stack.fleet("spawn", ".", "Take your time", "--agent-type", "stub", "--script", "slow");
    await eventually(async () => {
      const rows = await stack.query("select id from fleet_tasks where status = 'running'");
      return rows.length > 0 ? true : undefined;
    }, PATIENCE_MS);

    expect(await stack.down()).toBe(0);
    await stack.up();

    await eventually(async () => {
      const rows = await stack.query("select id from fleet_tasks where status = 'ready' and attempt = 0");
      return rows.length > 0 ? true : undefined;
    }, PATIENCE_MS);
    await expectWhole(stack);
  },
  TIMEOUT_MS,
);
