/**
 * The commands that run things on this machine: the whole demo, doctor on healthy and broken machines, and what up
 * refuses.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, inject, test, vi } from "vitest";
import { z } from "zod";
import { main } from "../../src/cli/main.ts";
import { testDatabase } from "../support/database.ts";
import { temporaryHome } from "../support/home.ts";

const run = promisify(execFile);

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Runs `fleet …` with this environment; returns the exit code and the output. */
async function fleet(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  for (const [name, value] of Object.entries({ DATABASE_URL: "", REDIS_URL: "", FLEET_CONFIG: "", ...env })) {
    vi.stubEnv(name, value);
  }
  let out = "";
  let err = "";
  const exit = await main(words, {
    env,
    cwd: "/",
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (err += text) },
    signal: new AbortController().signal,
    clock: () => new Date(),
    random: Math.random,
  });
  return { exit, out, err };
}

test("the demo runs its three tasks and two work orders, and leaves nothing behind", { timeout: 180_000 }, async () => {
  await using home = await temporaryHome();

  const { exit, out, err } = await fleet(["demo", "--json"], { TMPDIR: home.path });

  expect({ exit, err }).toEqual({ exit: 0, err: "" });
  expect(JSON.parse(out)).toMatchObject({
    ok: true,
    auditHolds: true,
    invariantsHold: true,
    tasks: [
      { status: "merged", attempts: 1, learntFrom: null },
      { status: "ready", attempts: 2, learntFrom: "ci_failed" },
      { status: "ready", attempts: 2, learntFrom: "review_rejected" },
    ],
    orders: [
      { intent: "validate", status: "completed", verified: true },
      { intent: "test", status: "completed", verified: true, evidence: expect.arrayContaining(["junit.xml"]) },
    ],
  });
  expect(await readdir(home.path)).toEqual([]);
  const { stdout } = await run("ps", ["-eo", "args"]);
  expect(stdout).not.toContain(home.path);
});

const Report = z.object({
  ok: z.boolean(),
  findings: z.array(z.object({ name: z.string(), state: z.string(), said: z.string(), fix: z.string().optional() })),
});

async function doctor(env: Readonly<Record<string, string>>) {
  const { exit, out } = await fleet(["doctor", "--json"], env);
  const { findings } = Report.parse(JSON.parse(out));
  return { exit, found: Object.fromEntries(findings.map((finding) => [finding.name, finding])) };
}

test("doctor passes on a machine that has everything needed, and changes nothing", async () => {
  await using home = await temporaryHome();

  const { exit, found } = await doctor({ FLEET_HOME: home.path });

  expect(exit).toBe(0);
  for (const name of ["node", "git", "tmux", "home", "disk"]) expect(found[name]).toMatchObject({ state: "ok" });
  for (const name of ["PostgreSQL", "Redis", "fleet"]) expect(found[name]).toMatchObject({ state: "absent" });
  expect(await readdir(home.path)).toEqual([]);
});

test("doctor reports what is wrong with each store, the settings and the programs, and how to fix it", async () => {
  await using home = await temporaryHome();
  const config = join(home.path, "fleet.yaml");
  await writeFile(config, "products: [{id: Not Good, nonsense: x}]\nautoMerge: maybe\n");
  await writeFile(join(home.path, "encryption.key"), "x");
  await chmod(join(home.path, "encryption.key"), 0o644);
  await using database = await testDatabase("empty");
  const path = join(home.path, "bin");
  await mkdir(path);
  await symlink(process.execPath, join(path, "node"));

  const { exit, found } = await doctor({
    FLEET_HOME: home.path,
    FLEET_CONFIG: config,
    DATABASE_URL: database.url,
    REDIS_URL: "redis://127.0.0.1:1",
    PATH: path,
  });

  expect(exit).toBe(1);
  expect(found["git"]).toMatchObject({ state: "wrong", fix: expect.stringContaining("git") });
  expect(found["PostgreSQL"]).toMatchObject({ state: "wrong", fix: "fleet migrate" });
  expect(found["Redis"]).toMatchObject({ state: "wrong", said: expect.stringContaining("127.0.0.1:1") });
  expect(found["secrets"]).toMatchObject({ state: "wrong", fix: expect.stringContaining("chmod 600") });
  expect(found["fleet.yaml"]?.said).toMatch(/products\[0\]\.id.*products\[0\]\.nonsense.*autoMerge/);
});

test("doctor checks PostgreSQL's schema and clock, and that Redis evicts nothing", async () => {
  await using home = await temporaryHome();
  await using database = await testDatabase();

  const { found } = await doctor({ FLEET_HOME: home.path, DATABASE_URL: database.url, REDIS_URL: inject("redisUrl") });

  expect(found["PostgreSQL"]).toMatchObject({ state: "ok", said: expect.stringContaining("schema current") });
  expect(found["clock"]).toMatchObject({ state: "ok" });
  expect(found["Redis"]).toMatchObject({ state: "ok" });
});

test("up refuses a port in use, and has closed everything by then", async () => {
  await using home = await temporaryHome();
  await using database = await testDatabase();
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const address = taken.address();
  const port = typeof address === "object" && address ? String(address.port) : "";

  const env = { FLEET_HOME: home.path, DATABASE_URL: database.url, PORT: port, FLEET_LOG_LEVEL: "silent" };
  const { exit, err } = await fleet(["up"], env);
  taken.close();

  expect(exit).toBe(2);
  expect(err).toContain(`Port ${port} of 127.0.0.1 is taken by another program. Choose another: PORT=0`);
  const open = await database.query(
    "select application_name from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
  );
  expect(open).toEqual([]);
});

test("up refuses invalid input that needs no server before it starts one", async () => {
  await using home = await temporaryHome();
  const file = join(home.path, "file");
  const config = join(home.path, "fleet.yaml");
  const bin = join(home.path, "bin");
  await writeFile(file, "");
  await writeFile(config, "retry: {maxRounds: 0}\nnonsense: 1\n");
  await mkdir(bin);
  const env = { FLEET_HOME: join(home.path, "home"), FLEET_LOG_LEVEL: "silent", PORT: "0" };

  const badHome = await fleet(["up"], { ...env, FLEET_HOME: file });
  const badYaml = await fleet(["up"], { ...env, FLEET_CONFIG: config });
  const noPrograms = await fleet(["up"], { ...env, PATH: bin });

  expect(badHome).toMatchObject({
    exit: 2,
    err: expect.stringContaining("it is a file. Choose another one: FLEET_HOME="),
  });
  expect(badYaml).toMatchObject({ exit: 2, err: expect.stringMatching(/retry\.maxRounds[^]*nonsense/) });
  expect(noPrograms).toMatchObject({ exit: 1, err: expect.stringContaining("git and tmux cannot be found") });
  expect(await readdir(env.FLEET_HOME)).not.toContain("postgres");
});
