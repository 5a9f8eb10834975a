/**
 * The embedded PostgreSQL: durable, shared by the processes of a home directory, recovered after kill -9, never
 * deleted.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  access,
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "pg";
import { expect, test } from "vitest";
import { z } from "zod";
import { openEmbeddedPostgres } from "../../../src/store/embedded/embedded.ts";
import { canTraverse } from "../../../src/store/embedded/postgres-binaries.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryHome, type TestHome } from "../../support/home.ts";

const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;
const ignore = () => {};
/** A normal user cannot read a checkout under /root, and so could not run Fleetwright from it. */
const isCheckoutReachable =
  isRoot &&
  (await canTraverse(process.cwd(), { name: "nobody", uid: NOBODY, gid: NOBODY })) &&
  !process.execPath.startsWith("/root/");

/** The messages of tests/support/embedded-child.ts. */
const Said = z.object({
  url: z.string().default(""),
  startedByUs: z.boolean().default(false),
  error: z.string().optional(),
});

test("data survives a restart, on the same address and behind a password that only the owner can read", async () => {
  await using home = await temporaryHome();
  const first = await openEmbeddedPostgres({ home: home.path, log: ignore });
  await ask(first.url, "create table kept as select 42 as answer");
  await first.stop();
  await expect(ask(first.url, "select 1")).rejects.toThrow("ECONNREFUSED");

  const second = await openEmbeddedPostgres({ home: home.path, log: ignore });

  expect(second).toMatchObject({ url: first.url, startedByUs: true, version: "18.4" });
  expect(await ask(second.url, "select answer from kept")).toEqual([{ answer: 42 }]);
  expect(await ask(second.url, "show fsync")).toEqual([{ fsync: "on" }]);
  await expect(ask(second.url.replace(/:\w+@/, ":wrong@"), "select 1")).rejects.toThrow(
    "password authentication failed",
  );
  expect((await stat(join(home.path, "postgres", "password"))).mode & 0o777).toBe(0o600);
  expect((await stat(join(home.path, "postgres", "data"))).mode & 0o777).toBe(0o700);
  await second.stop();
});

test("processes that start at once share one server, and the last one to stop ends it", async () => {
  await using home = await temporaryHome();
  const children = await Promise.all([0, 1, 2].map(() => fleetProcess(home.path)));
  const messages = children.map((child) => child.said);

  expect(messages.filter(({ startedByUs }) => startedByUs)).toHaveLength(1);
  expect(new Set(messages.map(({ url }) => url)).size).toBe(1);
  const { url } = children[0]!.said;
  await children[0]!.end("SIGTERM");
  await children[1]!.end("SIGTERM");
  expect(await ask(url, "select 1 as still")).toEqual([{ still: 1 }]);
  await children[2]!.end("SIGTERM");
  await expect(ask(url, "select 1")).rejects.toThrow("ECONNREFUSED");
});

test("after kill -9 of the process that started it, the next one finds the server running", async () => {
  await using home = await temporaryHome();
  const killed = await fleetProcess(home.path);
  await ask(killed.said.url, "create table kept as select 1 as answer");
  await killed.end("SIGKILL");
  const pid = await serverPid(home);

  const next = await openEmbeddedPostgres({ home: home.path, log: ignore });

  expect(next).toMatchObject({ url: killed.said.url, startedByUs: false });
  expect(await serverPid(home)).toBe(pid);
  await next.stop(); // The dead process is not counted as a user.
  await expect(ask(next.url, "select 1")).rejects.toThrow("ECONNREFUSED");
});

test("after kill -9 of PostgreSQL it is started again on the same address, with all committed data", async () => {
  await using home = await temporaryHome();
  const heard: string[] = [];
  const embedded = await openEmbeddedPostgres({ home: home.path, log: (message) => heard.push(message) });
  await ask(embedded.url, "create table kept as select 1 as answer");
  const pid = await serverPid(home);

  process.kill(pid, "SIGKILL");

  const rows = await eventually(async () => {
    if ((await serverPid(home)) === pid) return undefined;
    return ask(embedded.url, "select answer from kept").catch(() => undefined);
  });
  expect(rows).toEqual([{ answer: 1 }]);
  expect(heard).toContain("PostgreSQL has died; starting it again.");
  await embedded.stop();
});

test("a pid file and a lock whose pids now belong to other programs do not block a start", async () => {
  await using home = await temporaryHome();
  const first = await openEmbeddedPostgres({ home: home.path, log: ignore });
  const pidFile = join(home.path, "postgres", "data", "postmaster.pid");
  const left = await readFile(pidFile, "utf8");
  await first.stop();
  const other = await anotherProgram(home);
  await writeFile(pidFile, left.replace(/^\d+/, String(other.pid)), { mode: 0o600 });
  const { uid, gid } = await stat(join(home.path, "postgres", "data"));
  await chown(pidFile, uid, gid);
  await writeFile(join(home.path, "postgres.lock", "9999"), `${process.pid} 1 an-earlier-process-with-our-pid`);

  const next = await openEmbeddedPostgres({ home: home.path, log: ignore });

  expect(next).toMatchObject({ url: first.url, startedByUs: true });
  await next.stop();
  other.kill("SIGKILL");
});

test("when another program uses the port, a warning is logged and another port is chosen", async () => {
  await using home = await temporaryHome();
  const first = await openEmbeddedPostgres({ home: home.path, log: ignore });
  await first.stop();
  const squatter = createServer().listen(Number(new URL(first.url).port), "127.0.0.1");
  await once(squatter, "listening");
  const heard: string[] = [];

  const next = await openEmbeddedPostgres({ home: home.path, log: (message) => heard.push(message) });

  expect(next.url).not.toBe(first.url);
  expect(heard.join(" ")).toContain("is taken by another program");
  await next.stop();
  squatter.close();
});

test("a data folder of another version or a damaged one is refused with instructions, and is not changed", async () => {
  await using home = await temporaryHome();
  const first = await openEmbeddedPostgres({ home: home.path, log: ignore });
  await first.stop();
  const data = join(home.path, "postgres", "data");
  const refused = async () => {
    const before = await filesOf(data);
    const error = await openEmbeddedPostgres({ home: home.path, log: ignore }).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: "database-unusable" });
    expect(await filesOf(data)).toEqual(before);
    return String(error);
  };

  await writeFile(join(data, "PG_VERSION"), "15\n");
  expect(await refused()).toMatch(/made by PostgreSQL 15; this Fleetwright brings 18.*pg_dump/);
  await writeFile(join(data, "PG_VERSION"), "18\n");

  const control = join(data, "global", "pg_control");
  await cp(control, join(home.path, "pg_control"));
  await writeFile(control, "garbage");
  expect(await refused()).toMatch(/does not start on .*server\.log.*Nothing was deleted/);
  await rm(control);
  expect(await refused()).toMatch(/not a whole PostgreSQL database: restore/);

  await rm(join(home.path, "postgres", "password"));
  await cp(join(home.path, "pg_control"), control);
  expect(await refused()).toMatch(/password file .* is missing/);
});

test.runIf(isRoot)(
  "as root, with a home directory that only root may enter, the data goes where PostgreSQL's user has access",
  async () => {
    await using home = await temporaryHome();
    await using system = await temporaryHome();
    await chmod(home.path, 0o700);
    const heard: string[] = [];
    const options = { home: home.path, systemDir: system.path, log: (message: string) => heard.push(message) };

    const embedded = await openEmbeddedPostgres(options);

    const place = await readlink(join(home.path, "postgres"));
    expect(place.startsWith(system.path)).toBe(true);
    expect(heard.join(" ")).toContain(`its data is in ${place}`);
    expect((await stat(join(place, "data"))).uid).not.toBe(0);
    await embedded.stop();
    await (await openEmbeddedPostgres(options)).stop();
    expect(await readlink(join(home.path, "postgres"))).toBe(place);
  },
);

test.runIf(isCheckoutReachable)(
  "as a normal user everything is in the home directory and belongs to that user",
  async () => {
    await using home = await temporaryHome();
    const theirs = join(home.path, "theirs");

    await mkdir(theirs);
    await chown(theirs, NOBODY, NOBODY);
    const child = await fleetProcess(theirs, NOBODY);

    expect(child.said.error).toBeUndefined();
    expect(await ask(child.said.url, "select 1 as one")).toEqual([{ one: 1 }]);
    expect((await lstat(join(theirs, "postgres", "data"))).uid).toBe(NOBODY);
    await child.end("SIGTERM");
    await expect(access(join(theirs, "postgres", "data", "postmaster.pid"))).rejects.toThrow("ENOENT");
  },
);

interface FleetProcess {
  readonly said: z.infer<typeof Said>;
  /** Sends the signal and returns when the process has ended. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** A separate fleet process that holds the embedded PostgreSQL of the home directory open. */
async function fleetProcess(home: string, uid?: number): Promise<FleetProcess> {
  const args = ["tests/support/run-ts.mjs", "tests/support/embedded-child.ts", home];
  const ids = uid === undefined ? {} : { uid, gid: uid };
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], ...ids });
  const exited = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) {
    const said = Said.parse(JSON.parse(line));
    return {
      said,
      async end(signal) {
        child.kill(signal);
        await exited;
      },
    };
  }
  throw new Error("The fleet process ended without a word.");
}

async function anotherProgram(home: TestHome): Promise<{ pid: number; kill(signal: NodeJS.Signals): void }> {
  // Runs as PostgreSQL's user, because PostgreSQL itself treats a pid of another user as stale.
  const { uid, gid } = await stat(join(home.path, "postgres", "data"));
  const child = spawn("sleep", ["300"], { stdio: "ignore", ...(isRoot ? { uid, gid } : {}) });
  await once(child, "spawn");
  return { pid: child.pid!, kill: (signal) => child.kill(signal) };
}

/** Apart from the pid file, which PostgreSQL itself may leave when it exits because of it. */
async function filesOf(data: string): Promise<string[]> {
  return (await readdir(data)).filter((file) => file !== "postmaster.pid");
}

async function serverPid(home: TestHome): Promise<number> {
  const file = await readFile(join(home.path, "postgres", "data", "postmaster.pid"), "utf8").catch(() => "");
  return Number(file.split("\n")[0]);
}

async function ask(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", ignore);
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end().catch(ignore);
  }
}
