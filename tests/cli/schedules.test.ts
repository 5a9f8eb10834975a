/** fleet schedules and fleet pushed, from the command line to the effects on a real server. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { aScheduleFile, scheduledFleet } from "../support/schedules.ts";
import { openTestCli } from "../support/typed.ts";

test("the listing shows what runs when, what is wrong, and what differs; the other commands change it", async () => {
  await using world = await scheduledFleet();
  await using typed = await openTestCli(world);
  expect((await typed.fleet("schedules")).out).toMatch(/^No schedules\. Create schedules\/<product>\.json/);
  const [good, bad] = [world.product(), world.product()];
  await world.writeSchedule(good, aScheduleFile(good, { cadence: "daily", at: "02:30" }));
  await world.writeSchedule(bad, aScheduleFile(bad, { jobs: [{ intent: "deploy" }] }));

  const { out, exit } = await typed.fleet("schedules");
  expect(exit).toBe(0);
  expect(out).toMatch(new RegExp(`${good} +● on +daily 02:30 +never +in 3h 20m +validate`));
  expect(out).toMatch(new RegExp(`✖ /.*/${bad}\\.json: jobs\\[0\\]\\.intent `));
  expect(out).toContain(`≠ ${good}: the queue has no scheduler for it (at 30 2 * * * UTC)`);
  expect((await typed.fleet("schedules", "--exit-code")).exit).toBe(4);

  const run = await typed.fleet("schedules", "run", good);
  expect(run.out).toMatch(new RegExp(`^${good} {2}created validate\n {2}validate +[0-9a-f-]{36}\n`));
  expect(await typed.fleet("schedules", "run", good)).toMatchObject({
    exit: 1,
    err: expect.stringMatching(/still open/),
  });

  expect((await typed.fleet("schedules", "pause", good)).exit).toBe(2);
  expect((await typed.fleet("schedules", "pause", good, "--reason", "it rains")).out).toMatch(/^⏸ paused/);
  expect((await typed.fleet("schedules")).out).toContain(`⏸ ${good}: paused by ${typed.by.id}: it rains`);
  expect((await typed.fleet("schedules", "resume", good)).out).toMatch(/^● on/);
  expect((await typed.fleet("schedules", "resume", "nothing")).exit).toBe(3);

  const { out: json } = await typed.fleet("schedules", "--json");
  expect(JSON.parse(json)).toMatchObject({
    schedules: [{ product: good, lastOutcome: "created validate" }, { product: bad }],
  });
});

test("the printed hook is a valid shell script, and running it creates the orders", async () => {
  await using world = await scheduledFleet();
  await using typed = await openTestCli(world);
  const id = world.product({ baseBranch: "trunk" });
  await world.writeSchedule(id, aScheduleFile(id, { cadence: "on_push" }));

  const { out: script, err } = await typed.fleet("schedules", "hook", id);
  expect(err).toBe("");
  expect(script).toContain("'refs/heads/trunk'");
  execFileSync("sh", ["-n"], { input: script });
  // With another program in the place of `fleet`, which prints what the hook would request.
  const heard = execFileSync(
    "sh",
    ["-c", script.replace(">/dev/null 2>&1", "").replace("fleet pushed", "echo pushed")],
    {
      input: `${"0".repeat(40)} ${"a".repeat(40)} refs/heads/trunk\n${"b".repeat(40)} ${"0".repeat(40)} refs/heads/trunk\n`,
      encoding: "utf8",
    },
  );
  expect(heard.trim()).toBe(`pushed ${id} --sha ${"a".repeat(40)}`);

  expect((await typed.fleet("pushed", id, "--sha", "a".repeat(40))).out).toMatch(/created validate/);
  expect((await typed.fleet("pushed", id, "--sha", "short")).exit).toBe(2);
  expect((await typed.fleet("pushed", "nothing")).exit).toBe(3);
  expect(await world.orders()).toMatchObject([{ source: "push", operator_id: "factory.local" }]);
});
