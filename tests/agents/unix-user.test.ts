/**
 * Agents of a tenant with its own Unix user: who they run as, what they can access, and that everything else works as
 * usual.
 */
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { expect, test } from "vitest";
import { findUnixUser } from "../../src/command/unix-user.ts";
import { findMarked } from "../../src/command/process-tree.ts";
import { openTmuxServers } from "../../src/agents/runtime/tmux-servers.ts";
import { git } from "../../src/git/git.ts";
import { isRoot, unixUsers } from "../support/unix-users.ts";
import { eventually } from "../support/eventually.ts";
import { anAgentWorld, waitUntilEnded, readFacts, taskMarker, sh } from "./agent-world.ts";

type World = Awaited<ReturnType<typeof anAgentWorld>>;

/** Other users can traverse the test's own folder, as they can any home directory. */
async function aSharedWorld(): Promise<World & AsyncDisposable> {
  const world = await anAgentWorld({ "README.md": "hello\n" });
  const servers = openTmuxServers({ home: world.home, socket: "fleetwright" });
  return {
    ...world,
    async [Symbol.asyncDispose]() {
      await servers.shutDown();
      await world[Symbol.asyncDispose]();
    },
  };
}

async function readOutput(world: World, run: { taskId: string; attempt: number }): Promise<string> {
  const { bytes } = await world.agents.readLog(run, { tailBytes: 64_000 });
  return bytes.toString("utf8");
}

const COMMIT = `cat > prompt.txt && id -un > who.txt && echo "$HOME" >> who.txt && git add . && git commit -qm work`;

/** What only root can do is tested as root; for another user the refusal is tested. */
async function needsRoot(): Promise<void> {
  await using world = await aSharedWorld();
  await expect(world.spawn({}, { unixUser: "nobody" })).rejects.toMatchObject({
    code: "spawn-failed",
    message: expect.stringContaining("it needs root"),
    facts: { spawnCode: "NO_UNIX_USER" },
  });
}

test("without root nothing runs as another user, and the refusal says that it needs root", async () => {
  await expect(findUnixUser("nobody", 1_000)).rejects.toThrow(
    "Nothing can run as Unix user nobody: it needs root to become another user, and runs as uid 1000.",
  );
});

test("an agent runs as its tenant's user, in its own folder and on its own tmux server", async () => {
  if (!isRoot) return needsRoot();
  await using users = await unixUsers(1);
  const [name = ""] = users.names;
  await using world = await aSharedWorld();

  const run = await world.spawn(
    sh(
      `${COMMIT} && echo '{"tokens_in": 7}' > "$FLEET_USAGE" && echo left > left.txt && tmux -V && cat /dev/stdin && sleep 300`,
    ),
    {
      unixUser: name,
    },
  );
  await eventually(async () => (await stat(join(run.path, "left.txt")).catch(() => undefined)) ?? undefined);
  const uid = Number((await execa("id", ["-u", name])).stdout);

  const processes = findMarked(taskMarker(run.taskId));
  const owners = await Promise.all(processes.map(async ({ pid }) => (await stat(`/proc/${pid}`)).uid));
  expect(owners).toContain(uid);
  expect((await readFile(join(run.path, "who.txt"), "utf8")).split("\n")).toEqual([
    name,
    join(world.home, "users", name, "home"),
    "",
  ]);
  for (const [path, owner, mode] of [
    [run.path, uid, 0o700],
    [join(world.home, "users", name), uid, 0o700],
    [run.dir, 0, 0o700],
    [join(world.home, "tmux", `user-${name}.sock`), 0, 0o600],
    [join(world.home, "tmux"), 0, 0o700],
  ] as const) {
    const found = await stat(path);
    expect([path, found.uid, found.mode & 0o777 & (path.endsWith(".sock") ? 0o607 : 0o777)]).toEqual([
      path,
      owner,
      mode,
    ]);
  }
  // Fleetwright's own tmux server has no session of it; the tenant's has.
  expect(await world.tmux.listActive()).toEqual([]);
  expect(await readFacts(world.agents, run.taskId)).toMatchObject({ pane: "alive", process: "alive" });

  expect(await world.agents.readUsage(run)).toMatchObject({ tokens: 7 });

  expect(await world.agents.pause(run)).toBe(true);
  expect(
    (await execa("ps", ["-o", "stat=", "-u", name])).stdout.split("\n").every((state) => state.startsWith("T")),
  ).toBe(true);
  await world.agents.resume(run);
  expect((await world.agents.publish({ taskId: run.taskId })).pushed).toBe(true);
  expect(await git(["show", `${run.branch}:who.txt`], { gitDir: world.forge.url })).toContain(name);

  expect(await world.agents.stop(run)).toMatchObject({ hadStarted: true, survivors: [] });
  expect(findMarked(taskMarker(run.taskId))).toEqual([]);
  const cleaned = await world.agents.cleanUp(run);
  expect(cleaned).toMatchObject({ decision: { do: "remove" }, facts: { untracked: 1, snapshot: "verified" } });
  expect(await stat(run.path).catch(() => undefined)).toBeUndefined();
  expect((await execa("tar", ["-tf", join(cleaned.snapshot?.dir ?? "", "untracked.tar")])).stdout).toContain(
    "left.txt",
  );
});

test("an agent of one tenant can access nothing of another's nor of Fleetwright's, and its links are not followed there", async () => {
  if (!isRoot) return needsRoot();
  await using users = await unixUsers(2);
  const [first = "", second = ""] = users.names;
  await using world = await aSharedWorld();
  const { home } = world;
  const victim = await world.spawn(
    { ...sh(`${COMMIT} && touch ready && sleep 300`), secrets: { API_TOKEN: "hunter2-hunter2" } },
    { unixUser: first },
  );
  await eventually(async () => (await stat(join(victim.path, "ready")).catch(() => undefined)) ?? undefined);
  await writeFile(join(home, "credentials.json"), "{}", { mode: 0o600 });
  const { pid } = (await readFacts(world.agents, victim.taskId)) ?? { pid: null };
  const secret = (await git(["rev-parse", "HEAD"], { cwd: victim.path })).trim();
  const reach = [
    ...["who.txt", ".git/HEAD", ".git/config"].map((file) => `cat ${victim.path}/${file}`),
    ...["", "/workspaces", "/attempts", "/snapshots", "/mirrors", "/tmux", "/users", `/users/${first}`].map(
      (folder) => `ls ${home}${folder}`,
    ),
    `ls ${victim.path}`,
    `cat ${victim.dir}/run.json`,
    `cat ${home}/credentials.json`,
    ...["environ", "maps", "mem"].map((file) => `head -c 1 /proc/${pid}/${file}`),
    ...["cwd/", "root/", "fd/"].map((folder) => `ls /proc/${pid}/${folder}`),
    `kill -9 ${pid}`,
    ...[`user-${first}`, `user-${second}`, "fleetwright"].map((name) => `tmux -S ${home}/tmux/${name}.sock ls`),
    `touch ${home}/mine`,
    `touch ${home}/workspaces/mine`,
    `echo forged > "$FLEET_RUN/exit.json"`,
    `cat "$FLEET_RUN/run.json"`,
  ];
  const tries = reach.map((one, at) => `(${one}) >/dev/null 2>&1 && echo "REACHED ${at}" || echo "refused ${at}"`);
  // Objects borrowed from the other's repository, and a branch that names its commit.
  const lures = [
    `echo ${victim.path}/.git/objects > .git/objects/info/alternates`,
    `echo ${secret} > .git/refs/heads/$FLEET_BRANCH`,
  ];
  const spy = await world.spawn(sh([...tries, ...lures].join("; ")), { unixUser: second });
  await waitUntilEnded(world.agents, spy.taskId);

  const lines = (await readOutput(world, spy)).trim().split("\n");
  expect(lines).toEqual(reach.map((_, at) => `refused ${at}`));
  expect(await readFacts(world.agents, victim.taskId)).toMatchObject({ pane: "alive", process: "alive" });
  await expect(world.agents.publish({ taskId: spy.taskId })).rejects.toMatchObject({ code: "git-failed" });
  const heads = await git(["for-each-ref", "--format=%(objectname)"], { gitDir: world.forge.url });
  expect(heads).not.toContain(secret);
  await world.agents.stop(victim);
});

test("a user that does not exist, or that is root, is refused before anything is created", async () => {
  if (!isRoot) return needsRoot();
  await using world = await aSharedWorld();
  for (const [unixUser, words] of [
    ["fleet-nobody-here", "this host has no such user. Create it: useradd"],
    ["root", "that user, or its group, is root's"],
  ] as const) {
    const taskId = "01a1fcde-0000-7000-8000-00000000abcd";
    await expect(world.spawn({ taskId }, { unixUser })).rejects.toMatchObject({
      code: "spawn-failed",
      message: expect.stringContaining(words),
      facts: { spawnCode: "NO_UNIX_USER" },
    });
    expect(await stat(join(world.home, "attempts", taskId)).catch(() => undefined)).toBeUndefined();
    expect(await readdir(join(world.home, "workspaces")).catch(() => [])).toEqual([]);
  }
});
