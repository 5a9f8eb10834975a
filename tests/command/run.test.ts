/** A helper command is bounded in time and output, and leaves nothing behind. */
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findMarked, isAlive } from "../../src/command/process-tree.ts";
import { runCommand } from "../../src/command/run.ts";

const PLACE = { cwd: tmpdir(), env: { PATH: "/usr/bin:/bin" }, timeoutMs: 10_000 };

test("a command that fails is a result, not an exception", async () => {
  const result = await runCommand(["sh", "-c", "echo out; echo err >&2; exit 3"], PLACE);

  expect(result).toMatchObject({ exitCode: 3, signal: null, stdout: "out\n", stderr: "err\n", timedOut: false });
});

test("a program that does not exist is named in the error", async () => {
  await expect(runCommand(["no-such-program"], PLACE)).rejects.toThrow(
    /no-such-program cannot be started: no such program/,
  );
});

test("a directory that does not exist is named in the error", async () => {
  await expect(runCommand(["true"], { ...PLACE, cwd: "/no/such/place" })).rejects.toThrow("/no/such/place");
});

test("nothing of our own environment reaches the command", async () => {
  const { stdout } = await runCommand(["env"], PLACE);

  const names = stdout
    .trim()
    .split("\n")
    .map((line) => line.split("=")[0]);
  expect(names.toSorted((one, other) => String(one).localeCompare(String(other)))).toEqual(["FLEET_COMMAND", "PATH"]);
});

test("input arrives complete and stdin is then closed", async () => {
  const input = "x".repeat(300_000);

  const { stdout } = await runCommand(["wc", "-c"], { ...PLACE, input });

  expect(stdout.trim()).toBe("300000");
});

test("a command that never reads its input does not fail because of it", async () => {
  const result = await runCommand(["true"], { ...PLACE, input: "x".repeat(1_000_000) });

  expect(result.exitCode).toBe(0);
});

test("of a flood of output the beginning and the end are returned", async () => {
  const result = await runCommand(["sh", "-c", "echo first; seq 1 200000; echo last"], {
    ...PLACE,
    maxOutputBytes: 1_000,
  });

  expect(result.truncated).toBe(true);
  expect(result.stdout.startsWith("first\n")).toBe(true);
  expect(result.stdout.endsWith("last\n")).toBe(true);
  expect(result.stdout.length).toBeLessThan(1_100);
});

test("output that fits is complete", async () => {
  const result = await runCommand(["seq", "1", "100"], { ...PLACE, maxOutputBytes: 292 });

  expect(result).toMatchObject({ truncated: false });
  expect(result.stdout.trim().split("\n")).toHaveLength(100);
});

test("a timeout ends the whole process tree, also processes that left the session and ignore SIGTERM", async () => {
  const place = await mkdtemp(join(tmpdir(), "fleet-run-"));
  const script = `setsid sh -c 'trap "" TERM; echo $$ > escaped; while :; do sleep 0.1; done' & sleep 60`;

  const result = await runCommand(["sh", "-c", script], { ...PLACE, cwd: place, timeoutMs: 300 });

  const escaped = Number(await readFile(join(place, "escaped"), "utf8"));
  expect(result.timedOut).toBe(true);
  expect(isAlive(escaped)).toBe(false);
});

test("an abort ends the command", async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 100);

  const result = await runCommand(["sleep", "60"], { ...PLACE, signal: stop.signal });

  expect(result).toMatchObject({ aborted: true, timedOut: false });
});

test("background processes of the command end with it and do not delay it", async () => {
  const result = await runCommand(["sh", "-c", "sleep 60 & echo $!"], PLACE);

  expect(isAlive(Number(result.stdout))).toBe(false);
  expect(result.durationMs).toBeLessThan(5_000);
});

test("a server that is meant to stay running does", async () => {
  const marker = { name: "CANARY", value: String(process.pid) };
  const env = { ...PLACE.env, CANARY: marker.value };

  await runCommand(["setsid", "--fork", "sleep", "30"], { ...PLACE, env, leavesServer: true });

  const left = findMarked(marker);
  for (const { pid } of left) process.kill(pid, "SIGKILL");
  expect(left).toHaveLength(1);
});
