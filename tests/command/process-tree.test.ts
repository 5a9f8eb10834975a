/** The process table is read correctly, and a killed process tree has ended completely. */
import { spawn } from "node:child_process";
import { expect, test } from "vitest";
import {
  descendants,
  findMarked,
  isAlive,
  killTree,
  listProcesses,
  readProcess,
  signalTree,
} from "../../src/command/process-tree.ts";
import { eventually } from "../support/eventually.ts";

const until = (look: () => boolean) => eventually(async () => look() || undefined);

function start(script: string, env: Record<string, string> = {}) {
  const child = spawn("sh", ["-c", script], {
    detached: true,
    stdio: "ignore",
    env: { PATH: "/usr/bin:/bin", ...env },
  });
  if (child.pid === undefined) throw new Error("sh did not start");
  return child.pid;
}

test("a process is identified by its pid and its start time, not by its pid alone", () => {
  const self = readProcess(process.pid);

  expect(self).toMatchObject({ pid: process.pid, ppid: process.ppid });
  expect(isAlive(process.pid, self?.startTime)).toBe(true);
  expect(isAlive(process.pid, 1)).toBe(false);
  expect(listProcesses().map(({ pid }) => pid)).toContain(process.pid);
});

test("a program whose name contains parentheses and spaces is read correctly", async () => {
  const pid = start("printf 'a) Z 1 (b' > /proc/$$/comm; sleep 30");
  await until(() => readProcess(pid)?.session === pid);

  expect(readProcess(pid)).toMatchObject({ ppid: process.pid, pgid: pid, session: pid });

  await killTree([{ pid }], { graceMs: 0 });
});

test("killing a tree reaches children, and by the marker processes that left the session", async () => {
  const marker = { name: "FLEET_TASK", value: `tree-${process.pid}` };
  const script = "setsid sh -c 'trap \"\" TERM; sleep 60; sleep 60' & setsid --fork sleep 60; sleep 60 & wait";
  const pid = start(script, { FLEET_TASK: marker.value });
  await until(() => findMarked(marker).length >= 5);

  const { signalled, survivors } = await killTree([{ pid }], { graceMs: 100, marker });

  expect(survivors).toEqual([]);
  expect(findMarked(marker)).toEqual([]);
  expect(signalled.length).toBeGreaterThanOrEqual(5);
});

test("a pid that was reused by another process is not killed", async () => {
  const pid = start("sleep 30");

  const { signalled } = await killTree([{ pid, startTime: 1 }], { graceMs: 0 });

  expect(signalled).toEqual([]);
  expect(isAlive(pid)).toBe(true);
  await killTree([{ pid }], { graceMs: 0 });
});

test("this process never kills itself, only what it started", async () => {
  const pid = start("sleep 30");

  const { survivors } = await killTree([{ pid: process.pid }], { graceMs: 0 });

  expect(survivors).toEqual([]);
  expect(isAlive(pid)).toBe(false);
});

test("a tree is stopped and continued as a whole", async () => {
  const pid = start("sleep 30 & wait");
  await until(() => descendants(pid).length === 1);

  signalTree([{ pid }], "SIGSTOP");
  await until(() => [readProcess(pid), ...descendants(pid)].every((info) => info?.state === "T"));
  signalTree([{ pid }], "SIGCONT");
  await until(() => readProcess(pid)?.state === "S");

  const { survivors } = await killTree([{ pid }], { graceMs: 500 });
  expect(survivors).toEqual([]);
});
