/** CI of the local forge: real commands on real copies, within their limits, with nothing left behind. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { listProcesses } from "../../src/command/process-tree.ts";
import { createRedactor } from "../../src/domain/text/redact.ts";
import { runChecks, type ChecksRequest } from "../../src/forge/checks.ts";
import { openWorkingCopy, sweepWorkingCopies } from "../../src/git/working-copy.ts";
import { commitFiles, newCheckout, runGit, testFolder } from "../support/repositories.ts";

test("all commands pass on a fresh copy of exactly that commit", async () => {
  using world = aWorld();
  const head = runGit(world.checkout, "rev-parse", "HEAD");
  commitFiles(world.checkout, { "later.txt": "x" });

  const result = await runChecks(
    world.ask({
      headSha: head,
      commands: {
        setup: ["sh", "-c", "echo built > built.txt"],
        validate: ["git", "rev-parse", "HEAD"],
        test: ["sh", "-c", "test -f built.txt && test ! -e later.txt && git status --short"],
      },
    }),
  );

  expect(result).toMatchObject({ status: "passing", reason: "all checks pass", headSha: head, logExcerpt: "" });
  expect(result.steps.map(({ name, exitCode }) => [name, exitCode])).toEqual([
    ["setup", 0],
    ["validate", 0],
    ["test", 0],
  ]);
  expect(readFileSync(world.logPath, "utf8")).toContain(`${head}\n`);
  expect(world.leftovers()).toEqual([]);
});

test("the first command that fails ends the run, and its output is the excerpt, redacted", async () => {
  using world = aWorld();
  const result = await runChecks(
    world.ask({
      commands: {
        setup: ["echo", "noise"],
        validate: ["sh", "-c", "echo not ok: $TOKEN; exit 3"],
        test: ["touch", "never"],
      },
      env: { TOKEN: "opensesame-1234" },
      redactor: createRedactor({ values: ["opensesame-1234"] }),
    }),
  );

  expect(result).toMatchObject({ status: "failing", reason: "validate failed with exit code 3" });
  expect(result.steps.map(({ name }) => name)).toEqual(["setup", "validate"]);
  expect(result.logExcerpt).toContain("not ok: [redacted:");
  expect(result.logExcerpt).not.toContain("noise");
  expect(readFileSync(world.logPath, "utf8")).not.toContain("opensesame");
});

test("a command that exceeds its time is killed with everything it started, and counts as an environment failure", async () => {
  using world = aWorld();
  const result = await runChecks(
    world.ask({
      commands: { test: ["sh", "-c", "sleep 987654 & setsid sleep 987654 & echo begun; wait"] },
      timeoutMs: 700,
    }),
  );

  expect(result).toMatchObject({ status: "error", reason: "test took too long", steps: [{ timedOut: true }] });
  expect(result.logExcerpt).toContain("begun");
  expect(sleepers("987654")).toEqual([]);
});

test("processes that a passing command leaves running are ended, too", async () => {
  using world = aWorld();
  const result = await runChecks(
    world.ask({ commands: { test: ["sh", "-c", "setsid sleep 876543 >/dev/null 2>&1 & sleep 0.1"] } }),
  );

  expect(result.status).toBe("passing");
  expect(sleepers("876543")).toEqual([]);
});

test.each([
  ["there is no such program", ["no-such-program-here"], "cannot be started"],
  ["the shell finds no such program", ["sh", "-c", "no-such-program-here"], "test cannot be run (exit code 127)"],
  ["it is killed", ["sh", "-c", "kill -9 $$"], "test was killed (SIGKILL)"],
])("when %s, it counts as an environment failure", async (_, argv, reason) => {
  using world = aWorld();
  const result = await runChecks(world.ask({ commands: { test: argv } }));

  expect(result.status).toBe("error");
  expect(result.reason).toContain(reason);
});

test("a run that is stopped is reported as stopped", async () => {
  using world = aWorld();
  const result = await runChecks(world.ask({ commands: { test: ["sleep", "60"] }, signal: AbortSignal.timeout(300) }));

  expect(result).toMatchObject({ status: "error", reason: "test was stopped" });
});

test("a missing commit is an error, not a verdict", async () => {
  using world = aWorld();

  expect(await runChecks(world.ask({ headSha: "0".repeat(40), commands: { test: ["true"] } }))).toMatchObject({
    status: "error",
    steps: [],
  });
  expect(world.leftovers()).toEqual([]);
});

test("a product without commands passes", async () => {
  using world = aWorld();

  expect(await runChecks(world.ask({ commands: {} }))).toMatchObject({ status: "passing", reason: "nothing to check" });
});

test("the commands see nothing of the worker's environment, and no remote to push to", async () => {
  using world = aWorld();
  await runChecks(
    world.ask({ commands: { test: ["sh", "-c", "env | cut -d= -f1 | sort | tr '\\n' ' '; git remote"] } }),
  );

  const names = /\n([A-Z][^\n]*?)\n/.exec(readFileSync(world.logPath, "utf8"))?.[1]?.trim().split(" ");
  expect(names?.filter((name) => !["PWD", "OLDPWD", "SHLVL", "_"].includes(name))).toEqual([
    "CI",
    "FLEET_COMMAND",
    "FLEET_RUN",
    "HOME",
    "LANG",
    "PATH",
    "TMPDIR",
  ]);
});

test("a flood of output is cut on disk, and its end is still in the excerpt", async () => {
  using world = aWorld();
  const result = await runChecks(
    world.ask({
      commands: {
        test: ["sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' 'x' | fold; echo; echo the end: Error; exit 1"],
      },
    }),
  );

  expect(result.logExcerpt).toContain("the end: Error");
  expect(result.logExcerpt.length).toBeLessThanOrEqual(4_000);
  expect(readFileSync(world.logPath).length).toBeLessThan(9_000_000);
});

test("the leftovers of a crash do not affect the next try, and are removed in the end", async () => {
  using world = aWorld();
  const dead = join(world.home, "checks", "run-1");
  mkdirSync(join(dead, "src"), { recursive: true });
  writeFileSync(join(dead, "src", "rubbish"), "x");
  mkdirSync(join(world.home, "checks", "run-2"));
  mkdirSync(join(world.home, "checks", "run-3"));

  expect(
    await runChecks(world.ask({ runId: "run-1", commands: { test: ["test", "!", "-e", "rubbish"] } })),
  ).toMatchObject({ status: "passing" });
  expect(await sweepWorkingCopies(world.home, async () => new Set(["run-3"]))).toEqual(["run-2"]);
  expect(world.leftovers()).toEqual(["run-3"]);
});

test("read-only folders do not prevent the removal of a copy", async () => {
  using world = aWorld();
  await runChecks(
    world.ask({ commands: { test: ["sh", "-c", "mkdir -p cache/mod && touch cache/mod/x && chmod -R a-w cache"] } }),
  );

  expect(world.leftovers()).toEqual([]);
  expect(readdirSync(join(world.home, "checks", ".trash"))).toEqual([]);
});

test("an invalid name is refused", async () => {
  await expect(
    openWorkingCopy({ home: "/nonexistent", runId: "../x", gitDir: "/", headSha: "0" }),
  ).rejects.toMatchObject({ code: "invalid-input" });
  expect(await sweepWorkingCopies("/nonexistent/home", async () => new Set())).toEqual([]);
});

function aWorld() {
  const folder = testFolder();
  const home = folder.folder("home");
  const checkout = newCheckout(join(folder.path, "shop"));
  const logPath = join(folder.path, "logs", "run.log");
  const ask = (given: Partial<ChecksRequest>): ChecksRequest => ({
    home,
    runId: "run-1",
    gitDir: join(checkout, ".git"),
    headSha: runGit(checkout, "rev-parse", "HEAD"),
    commands: {},
    timeoutMs: 30_000,
    logPath,
    redactor: createRedactor(),
    ...given,
  });
  const leftovers = () =>
    existsSync(join(home, "checks")) ? readdirSync(join(home, "checks")).filter((name) => name !== ".trash") : [];
  return { home, checkout, logPath, ask, leftovers, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

function sleepers(seconds: string): number[] {
  const isOne = (pid: number) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8") === `sleep\0${seconds}\0`;
    } catch {
      return false;
    }
  };
  return listProcesses()
    .filter(({ pid, state }) => state !== "Z" && isOne(pid))
    .map(({ pid }) => pid);
}
