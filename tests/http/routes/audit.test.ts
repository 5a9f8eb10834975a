/** The audit log by the real CLI over a real server: it can be read, exported and verified, and never rewritten. */
import { appendFile, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { main } from "../../../src/cli/main.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { startWeb, type RunningWeb } from "../../../src/processes/web.ts";
import { AuditEntryView } from "../../../src/views/audit.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { SYSTEM } from "../../../src/store/principal.ts";

let world: TestFleet;
let web: RunningWeb;
let ada: Operator;
let bob: Operator;
let eve: Operator;
let root: Operator;
let tasks: string[];

beforeAll(async () => {
  world = await testFleet();
  web = await startWeb(world.open, world.config, { relays: false });
  ada = await world.operator({ tier: "architect" });
  bob = await world.operator({ tenantId: ada.tenantId });
  eve = await world.operator();
  root = await world.operator({ role: "admin", tenantId: ada.tenantId });
  const repository = await world.aRepository();
  tasks = [];
  for (const by of [ada, ada, bob, eve]) {
    let task = await world.spawn(by, { repository });
    for (const action of ["test.one", "test.two"])
      task = await world.fleet.store.transitions.transition(SYSTEM, {
        task,
        actor: "test",
        action,
        detail: { n: 1.5, action },
      });
    tasks.push(task.id);
  }
});
afterAll(async () => {
  await web.close();
  await world[Symbol.asyncDispose]();
});

/** Runs `fleet audit …`. */
async function audit(by: Operator, ...words: string[]) {
  let [out, err] = ["", ""];
  const exit = await main(["audit", ...words], {
    env: { FLEET_URL: web.url, FLEET_TOKEN: await web.issueFor(by, 60_000) },
    cwd: "/",
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (err += text) },
    signal: new AbortController().signal,
    clock: () => new Date(),
    random: () => 0.5,
  });
  return { exit, out, err };
}

const Listed = z.object({ items: z.array(AuditEntryView), nextCursor: z.string().nullable() });
const listed = async (by: Operator, ...words: string[]) =>
  Listed.parse(JSON.parse((await audit(by, "list", "--json", ...words)).out)).items;
const chainsOf = (items: readonly { chain: string }[]) => [...new Set(items.map(({ chain }) => chain))];
const file = (name: string) => join(world.home, name);
const linesIn = async (path: string) => (await readFile(path, "utf8")).trimEnd().split("\n");

test("operators list their own entries; an admin lists the tenant's, and all on request", async () => {
  const [first = "", second = "", third = "", fourth = ""] = tasks.map((id) => `task:${id}`);

  expect(chainsOf(await listed(ada))).toEqual([second, first]);
  expect(chainsOf(await listed(bob))).toEqual([third]);
  expect(chainsOf(await listed(root)).toSorted()).toEqual([first, second, third].toSorted());
  expect(chainsOf(await listed(root, "--all"))).toContain(fourth);
  // The audit chain of a task is its history, which the tenant may read; to another tenant it does not exist.
  expect(chainsOf(await listed(bob, "--task", tasks[0] ?? ""))).toEqual([first]);
  expect((await audit(eve, "list", "--task", tasks[0] ?? "")).exit).toBe(3);
  expect(await listed(eve, "--all")).toHaveLength(3);
});

test("entries are listed by action, by operator, since a time, and page by page", async () => {
  expect((await listed(root, "--act", "spawn")).map(({ action }) => action)).toEqual(Array(3).fill("spawn.asked"));
  expect(chainsOf(await listed(root, "--operator", bob.id))).toEqual([`task:${tasks[2] ?? ""}`]);
  expect(await listed(root, "--since", "2999-01-01")).toEqual([]);
  expect(await listed(root, "--since", "2020-01-01")).toHaveLength(9);
  expect(await listed(root, "--limit", "2")).toEqual((await listed(root)).slice(0, 2));
  for (const words of [
    ["--since", "soon"],
    ["--act", "DROP TABLE"],
    ["--limit", "many"],
  ]) {
    expect((await audit(root, "list", ...words)).exit).toBe(2);
  }
});

test("an export has each chain complete and in order, resumes where it was interrupted, and is verified without the fleet", async () => {
  const path = file("all.jsonl");
  expect(await audit(root, "export", "--all", "--out", path)).toMatchObject({ exit: 0 });
  const whole = await readFile(path, "utf8");
  expect((await stat(path)).mode & 0o077).toBe(0);
  const entries = (await linesIn(path)).slice(0, -1).map((line) => AuditEntryView.parse(JSON.parse(line)));
  expect(entries.filter(({ chain }) => tasks.some((id) => chain === `task:${id}`))).toHaveLength(12);
  expect(await audit(root, "verify", "--file", path)).toMatchObject({ exit: 0 });

  // Interrupted in the middle of a line, as by a full disk.
  await truncate(path, Math.floor(Buffer.byteLength(whole) / 2));
  expect((await audit(root, "verify", "--file", path)).out).toContain("line");
  expect((await audit(root, "export", "--all", "--out", path)).err).toMatch(/^Resuming .* after /m);
  expect((await linesIn(path)).slice(0, -1)).toEqual(whole.trimEnd().split("\n").slice(0, -1));
  expect(await audit(root, "verify", "--file", path)).toMatchObject({ exit: 0 });
  expect((await audit(root, "export", "--all", "--out", path)).exit).toBe(2);

  // An operator pipes their own log; the admin flag changes nothing without the role.
  const { out } = await audit(ada, "export", "--all");
  expect(
    chainsOf(
      out
        .trimEnd()
        .split("\n")
        .slice(0, -1)
        .map((line) => AuditEntryView.parse(JSON.parse(line))),
    ),
  ).toEqual(tasks.slice(0, 2).map((id) => `task:${id}`));
});

test.each<[how: string, change: (lines: string[]) => string[], said: RegExp]>([
  ["a changed byte", ([a = "", ...rest]) => [a.replace("asked", "ached"), ...rest], /entry 1 \(line 1\): its content/],
  ["a missing entry", ([a = "", _gone, ...rest]) => [a, ...rest], /entry 2 \(line 2\): entry 2 is missing/],
  ["a missing end", (lines) => lines.slice(0, -1), /its last line is missing/],
  [
    "fewer entries than it says",
    (lines) => [...lines.slice(0, 2), ...lines.slice(3)],
    /its last line reports 6 entries in 2 chains, but/,
  ],
  [
    "chains that come twice",
    (lines) => [...lines.slice(3, 6), ...lines.slice(0, 3), ...lines.slice(6)],
    /returns to chain/,
  ],
  ["something else", () => ["{}"], /line 1 is not an audit log entry/],
  ["nothing", () => [], /its last line is missing/],
])("an export with %s does not verify", async (how, change, said) => {
  const path = file(`${how.replaceAll(" ", "-")}.jsonl`);
  const { out } = await audit(ada, "export");
  await writeFile(
    path,
    change(out.trimEnd().split("\n"))
      .map((line) => `${line}\n`)
      .join(""),
  );

  const verdict = await audit(ada, "verify", "--file", path);

  expect(verdict).toMatchObject({ exit: 4, out: expect.stringMatching(said) });
});

test("lines after the end of an export, and a missing end line, are reported", async () => {
  const path = file("more.jsonl");
  await audit(ada, "export", "--out", path);
  await appendFile(path, "{}\n");

  expect((await audit(ada, "verify", "--file", path)).out).toContain("comes after the last line");
});

test.each(["fleet_app", "fleet_worker", "fleet_owner", "superuser"])(
  "as %s it is impossible to change, delete or truncate the log",
  async (role) => {
    const [month] = await world.query(
      "select c.relname as name from pg_class c where c.relispartition and c.relname like 'audit\\_log%' and c.relkind = 'r'",
    );
    const partition = z.string().parse(month?.["name"]);

    for (const table of ["audit_log", partition]) {
      for (const statement of [`update ${table} set actor = 'x'`, `delete from ${table}`, `truncate ${table}`]) {
        const as = role === "superuser" ? "" : `set local role ${role};`;
        // Row security shows the owner no row at all, so there is nothing to change; the trigger guards against roles
        // that see the rows.
        const refused = world.query(`begin; ${as} ${statement}; rollback`).then(
          () => "nothing happened",
          (error: unknown) => String(error),
        );
        const refusal = await refused;
        await world.query("rollback");
        expect(refusal).toMatch(
          role === "fleet_owner" && !statement.startsWith("truncate")
            ? /append-only|nothing happened/
            : /append-only|permission denied/,
        );
      }
    }
    expect(await world.query("select count(*)::int as n from audit_log where actor = 'x'")).toEqual([{ n: 0 }]);
  },
);

test("`fleet audit verify` names an entry of which a superuser changed a byte, and a chain that was removed as a whole", async () => {
  const [changed = "", gone = ""] = tasks;
  expect(await audit(root, "checkpoint")).toMatchObject({ exit: 0 });
  expect(await audit(root, "verify")).toMatchObject({ exit: 0 });

  await world.query(`begin; set local session_replication_role = replica;
    update audit_log set actor = 'nest' where task_id = '${changed}' and seq = 2;
    delete from audit_log where task_id = '${gone}'; delete from fleet_tasks where id = '${gone}'; commit`);
  const verdict = await audit(root, "verify");

  expect(verdict.exit).toBe(4);
  expect(verdict.out).toContain(`${changed}  entry 2: its content does not match its hash`);
  expect(verdict.out).toMatch(
    new RegExp(`${gone}  entry 1: the whole chain is missing: the checkpoint of .* recorded 3 entries`),
  );
});
