/** An attempt from its working copy to its end, through the one interface, with real git, tmux and processes. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { v7 as newId } from "uuid";
import { expect, test } from "vitest";
import { openAgents } from "../../../src/agents/agents.ts";
import { readProcess } from "../../../src/command/process-tree.ts";
import { runCommand } from "../../../src/command/run.ts";
import { git } from "../../../src/git/git.ts";
import { eventually } from "../../support/eventually.ts";
import { anAgentWorld, aRunRequest, waitUntilEnded, readFacts, sh } from "../agent-world.ts";
import { until } from "./attempts.ts";

test("a stub that succeeds leaves a commit on the forge, and the facts include it", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn();

  const facts = await waitUntilEnded(world.agents, run.taskId);

  const pushed = (await git(["rev-parse", run.branch], { gitDir: world.forge.url })).trim();
  expect(facts).toMatchObject({ process: "dead", exit: { code: 0, oom: false }, headSha: pushed, commitsAhead: 1 });
  expect(facts.outBytes).toBeGreaterThan(0);
  await until(() => readProcess(facts.pid ?? 0) === undefined);
  expect((await readFacts(world.agents, run.taskId))?.pane).toBe("dead");
  expect(await world.agents.readResult(run)).toMatchObject({ finalMessage: "The change is made.", question: null });
  expect(await git(["log", "-1", "--format=%s"], { gitDir: world.forge.url, cwd: "/" })).toBeDefined();
});

test("commits that an agent did not push are published on its behalf", async () => {
  await using world = await anAgentWorld();
  for (const kind of ["worktree", "clone"] as const) {
    const run = await world.spawn({ script: "succeed-no-push" }, { kind });
    const facts = await waitUntilEnded(world.agents, run.taskId);

    const published = await world.agents.publish({ taskId: run.taskId, expectedOld: null });

    expect(published).toEqual({ sha: facts.headSha, pushed: true });
  }
});

test("a prompt of 100 KB arrives complete, and secrets reach the agent but no file", async () => {
  await using world = await anAgentWorld();
  const prompt = `${"A line with an é\n".repeat(5_000)}end`;
  const run = await world.spawn({
    ...sh('cat > got; printf %s "$TOKEN" > token'),
    prompt,
    secrets: { TOKEN: "topmost" },
  });
  await waitUntilEnded(world.agents, run.taskId);

  expect(await readFile(join(run.path, "got"), "utf8")).toBe(prompt);
  expect(await readFile(join(run.path, "token"), "utf8")).toBe("topmost");
  const { stdout } = await runCommand(["grep", "-rl", "topmost", join(world.home, "attempts")], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    timeoutMs: 5_000,
  });
  expect(stdout).toBe("");
});

test("an unsupported agent type and a missing program are refused with an explanation", async () => {
  await using world = await anAgentWorld();
  const run = { taskId: newId(), attempt: 0 };
  await world.agents.prepareWorkspace(world.ask(run));

  await expect(world.agents.writeAttempt(aRunRequest({ ...run, agentType: "codex" }))).rejects.toThrow(
    /not supported yet/,
  );
  await expect(world.agents.writeAttempt(aRunRequest({ ...run, script: "dance" }))).rejects.toThrow(
    /no stub script dance/,
  );
  await world.agents.writeAttempt(aRunRequest({ ...run, agentType: "command", command: ["no-such-agent"] }));
  await world.agents.start(run);

  await expect(
    eventually(() => world.agents.waitForHeartbeat(run, 5_000).then(({ ended: over }) => over || undefined)),
  ).rejects.toThrow(/cannot be run.*no-such-agent/s);
});

test("the changes, the output and the exit of a failed attempt are collected", async () => {
  await using world = await anAgentWorld();
  const script = "echo broken > README.md; git commit -qam Break; echo more > new.txt; echo the end >&2; exit 9";
  const run = await world.spawn(sh(script));
  await waitUntilEnded(world.agents, run.taskId);

  const failure = await world.agents.collectFailure(run);

  expect(failure).toMatchObject({
    exitCode: 9,
    signal: null,
    outOfMemory: false,
    filesChanged: ["README.md", "new.txt"],
  });
  expect(failure.diff).toContain("+broken");
  expect(failure.outputTail).toContain("the end");
});

test("an agent that runs out of memory, one that asks a question and one that does nothing are distinguished", async () => {
  await using world = await anAgentWorld();
  const [memory, question, nothing] = await Promise.all([
    world.spawn({ script: "out-of-memory" }),
    world.spawn({ script: "ask" }),
    world.spawn({ script: "no-change-needed" }),
  ]);

  expect((await waitUntilEnded(world.agents, memory.taskId)).exit).toMatchObject({ code: 137, oom: true });
  expect((await waitUntilEnded(world.agents, nothing.taskId)).commitsAhead).toBe(0);
  expect((await world.agents.readResult(nothing)).noChangeNeeded).toContain("already exists");
  await until(() => existsSync(join(question.dir, "output.log")));
  const { question: asked } = await eventually(async () => {
    const result = await world.agents.readResult(question);
    return result.question ? result : undefined;
  });
  expect(asked).toEqual({ text: "Which database should be used?", choices: ["PostgreSQL", "SQLite"] });
});

test("a check that fails on the first attempt is fixed by the retry, whose prompt names it", async () => {
  await using world = await anAgentWorld();
  const first = await world.spawn({ script: "fail-then-fix" });
  await waitUntilEnded(world.agents, first.taskId);
  const check = join(first.path, `checks/${first.taskId.slice(-8)}.sh`);
  expect(await readFile(check, "utf8")).toContain("exit 1");
  await world.agents.stop(first);

  const retry = await world.spawn({
    taskId: first.taskId,
    attempt: 1,
    script: "fail-then-fix",
    prompt: "The check failed.",
  });
  await waitUntilEnded(world.agents, retry.taskId);

  expect(await readFile(check, "utf8")).toContain("exit 0");
  expect(await git(["rev-list", "--count", `main..${first.branch}`], { gitDir: world.forge.url })).toBe("2\n");
});

test("a workspace whose work is on the forge is removed with its branch", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn();
  await waitUntilEnded(world.agents, run.taskId);
  await world.agents.stop(run);

  const dry = await world.agents.cleanUp({ ...run, dryRun: true });
  const result = await world.agents.cleanUp(run);

  expect(dry.decision).toEqual({ do: "remove", deleteBranch: true });
  expect(result).toMatchObject({
    decision: dry.decision,
    removedPath: run.path,
    deletedBranch: run.branch,
    snapshot: null,
  });
  expect(existsSync(run.path)).toBe(false);
  expect((await world.agents.cleanUp(run)).decision.do).toBe("nothing");
  expect(await readdir(join(world.home, "workspaces/.trash"))).toEqual([]);
});

test("a workspace with running processes is retained", async () => {
  await using world = await anAgentWorld();
  const run = await world.spawn({ script: "hang" });

  expect((await world.agents.cleanUp(run)).decision).toEqual({
    do: "keep",
    reason: "processes of its agent are still running",
  });
});

test("setup commands run once, in the workspace, and their failure shows its last lines", async () => {
  await using world = await anAgentWorld();
  const run = { taskId: newId(), attempt: 0 };
  const { path } = await world.agents.prepareWorkspace(world.ask(run));
  const setupCommand = ["sh", "-c", "echo installed >> setup.log"];

  expect(await world.agents.install(run)).toMatchObject({ commands: [], skipped: "nothing to install" });
  expect(await world.agents.install({ ...run, setupCommand })).toMatchObject({ skipped: null });
  expect(await world.agents.install({ ...run, setupCommand })).toMatchObject({ skipped: "installed already" });
  expect(await readFile(join(path, "setup.log"), "utf8")).toBe("installed\n");
  await expect(
    world.agents.install({ ...run, setupCommand: ["sh", "-c", "echo no network; exit 1"] }),
  ).rejects.toMatchObject({
    facts: { spawnCode: "INSTALL_FAILED" },
    message: expect.stringContaining("no network"),
  });
  await writeFile(join(path, "package-lock.json"), JSON.stringify({ packages: { "": {} } }));
  expect(await world.agents.install(run)).toMatchObject({ skipped: "nothing to install" });
});

test("the agent programs of this machine are found by running them", async () => {
  await using world = await anAgentWorld();
  const bin = join(world.home, "bin");
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, "codex"), "#!/bin/sh\necho codex-cli 0.42.1\n", { mode: 0o755 });
  await writeFile(join(bin, "gemini"), "#!/bin/sh\necho no login >&2; exit 41\n", { mode: 0o755 });
  const agents = await openAgents({ ...world.options, baseEnv: { PATH: `${bin}:/usr/bin:/bin`, HOME: world.home } });

  const found = new Map((await agents.detect()).map((cli) => [cli.type, cli]));

  expect(found.get("codex")).toMatchObject({ found: true, version: "0.42.1", problem: null });
  expect(found.get("gemini")).toMatchObject({ found: true, version: null, problem: "no login" });
  expect(found.get("claude_code")).toMatchObject({ found: false });
});
