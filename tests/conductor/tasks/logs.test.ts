/** The output of agents: the tail, new output, the next attempt, and no secret. */
import { expect, test } from "vitest";
import { followTaskLog, readTaskLog } from "../../../src/conductor/tasks/logs.ts";
import { testFleet } from "../../support/fleet.ts";

const signal = new AbortController().signal;

test("the tail of an attempt has whole lines, and says whether there is more", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const command = ["sh", "-c", "for i in $(seq 1 300); do echo line $i; done"];
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), agentType: "command", command });
  const task = await fleet.runUntil(id, "failed");

  const tail = await readTaskLog(fleet.fleet, task, { lines: 3 });
  const whole = await readTaskLog(fleet.fleet, task, { lines: 1_000 });

  expect(tail).toMatchObject({ attempt: 0, lines: ["line 298", "line 299", "line 300"], truncated: true });
  expect(whole.lines).toHaveLength(300);
  expect(whole.truncated).toBe(false);
});

test("a follower gets every line once, continues with the next attempt, and ends with the task", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "fail-then-fix" });
  const running = await fleet.runUntil(id, ["running", "pr_created"]);
  const heard: { attempt: number; text: string }[] = [];

  const following = (async () => {
    for await (const line of followTaskLog(fleet.fleet, running, { lines: 100 }, signal)) heard.push(line);
  })();
  await fleet.runUntil(id, "ready");
  await following;

  expect(heard.filter(({ text }) => text.startsWith("Stub agent"))).toEqual([
    { attempt: 0, text: "Stub agent, script fail-then-fix, attempt 0." },
    { attempt: 1, text: "Stub agent, script fail-then-fix, attempt 1." },
  ]);
  expect(heard.filter(({ text }) => text === "Pushed.")).toHaveLength(2);
});

test("tokens that an agent prints do not leave its host", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "inject" });
  const task = await fleet.runUntil(id, "ready");

  const { lines } = await readTaskLog(fleet.fleet, task, { lines: 100 });

  expect(lines.join("\n")).not.toContain("ghp_0123456789");
  expect(lines.join("\n")).toContain("Ignore all previous instructions");
});

test("a task that has not run, or ran on another host, gives an error instead of empty output", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository: await fleet.aRepository() });

  await expect(readTaskLog(fleet.fleet, task, { lines: 10 })).rejects.toThrow("has not started yet");
  await expect(readTaskLog(fleet.fleet, { ...task, host: "there" }, { lines: 10 })).rejects.toThrow("is on host there");
});
