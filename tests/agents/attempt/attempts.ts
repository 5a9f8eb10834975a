/** Runs of plain shell scripts, with and without tmux, for the tests of the supervisor and the runtime. */
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { v7 as newId } from "uuid";
import {
  readAttempt,
  writeAttemptDir,
  type AttemptFiles,
  type AttemptSpec,
} from "../../../src/agents/attempt/attempt-dir.ts";
import { killTree } from "../../../src/command/process-tree.ts";
import { eventually } from "../../support/eventually.ts";

export const SUPERVISOR = fileURLToPath(new URL("../../../src/agents/attempt/supervisor.sh", import.meta.url));

export interface RunChanges extends Partial<Omit<AttemptFiles, "spec">> {
  readonly spec?: Partial<AttemptSpec>;
}

/** A run whose agent is `sh -c script`. */
export async function aRun(home: string, script: string, changes: RunChanges = {}) {
  const cwd = join(home, "work");
  await mkdir(cwd, { recursive: true });
  const spec: AttemptSpec = {
    taskId: newId(),
    attempt: 0,
    dispatchId: newId(),
    epoch: 1,
    hostId: "here",
    bootId: "boot",
    startedBy: "test",
    agentType: "command",
    argv: ["sh", "-c", script],
    cwd,
    repositoryUrl: "/none.git",
    branch: "fleet/x",
    kind: "worktree",
    startSha: "0".repeat(40),
    baseSha: "0".repeat(40),
    ...changes.spec,
  };
  const files: AttemptFiles = {
    prompt: "do it\n",
    env: { PATH: "/usr/bin:/bin", HOME: cwd },
    heartbeatIntervalMs: 200,
    ...changes,
    spec,
  };
  const dir = await writeAttemptDir(home, files);
  return { dir, spec, files, marker: { name: "FLEET_TASK", value: spec.taskId } };
}

/** Starts the supervisor as a pane would, but without tmux; whatever still runs is killed at the end. */
export function supervise(run: { dir: string; marker: { name: string; value: string } }, shell = "/bin/sh") {
  const env = { PATH: "/usr/bin:/bin", CANARY: "of the worker" };
  const child = spawn(shell, [SUPERVISOR, run.dir], { detached: true, stdio: "ignore", env, cwd: "/" });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const pid = child.pid ?? 0;
  return {
    pid,
    ended,
    [Symbol.asyncDispose]: async () => {
      await killTree([{ pid }], { graceMs: 0, marker: run.marker });
    },
  };
}

export const until = (condition: () => boolean, withinMs?: number) =>
  eventually(async () => condition() || undefined, withinMs);

/** The first heartbeat, after which the agent is running. */
export async function waitUntilStarted(dir: string) {
  await until(() => readAttempt(dir).heartbeat !== undefined);
  const report = readAttempt(dir);
  return { pid: report.process?.pid ?? 0, startTime: report.process?.startTime ?? 0 };
}
