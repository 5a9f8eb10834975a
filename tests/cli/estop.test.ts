/** fleet estop, from the command line to every view that shows it. */
import { expect, test } from "vitest";
import { engageEstop } from "../../src/conductor/attempts/estop.ts";
import { addProduct } from "../support/factory.ts";
import { testFleet } from "../support/fleet.ts";
import { openTestCli } from "../support/typed.ts";

test("a kill switch is shown wherever it applies, until it is released", async () => {
  await using fleet = await testFleet();
  await using typed = await openTestCli(fleet);
  const { by } = typed;
  const type = (...words: string[]) => typed.fleet(...words);
  const repository = await fleet.aRepository();
  addProduct(fleet, by, { id: "shop" });
  const task = await fleet.spawn(by, { repository, title: "Fix it" });
  expect((await type("estop")).out).toBe("Nothing is stopped.\n");

  const { out } = await type("estop", "--agent", task.id, "--freeze", "--reason", "it mails everybody");
  const notice = `■ agent ${task.id.slice(-8)} is frozen: it mails everybody (by ${by.id}, just now)`;
  expect(out).toBe(`${notice}\n  Release it: fleet estop release, with the same target\n`);
  expect((await type("ps")).out).toContain(notice.slice(0, 60));
  expect((await type("ps", "--wide")).out).toMatch(/○ proposed ! .*is frozen: it mails everybody/);
  expect(JSON.parse((await type("ps", "--json")).out)).toMatchObject({
    stops: [{ scope: "agent", subject: task.id, mode: "freeze", reason: "it mails everybody", by: by.id }],
    agents: [{ stopped: { scope: "agent", mode: "freeze", reason: "it mails everybody" } }],
  });
  await fleet.processHints();
  const story = await type("show", task.id);
  expect(story.out).toContain("is frozen: it mails everybody");
  expect(story.out).toContain("Why   A kill switch set by");
  expect((await type("estop", "release", "--agent", task.id, "--reason", "fixed")).out).toContain("Nothing is stopped");

  expect((await type("estop", "--product", "shop", "--reason", "the flood")).out).toContain("product shop is parked");
  expect((await type("products")).out).toContain("■ shop: the flood");
  expect((await type("plan", "--dry-run")).out).toMatch(/^■ product shop is parked: the flood [^]*Left out: 1 stopped/);
  expect((await type("schedules")).out).toContain("■ product shop is parked: the flood");
});

test("an incomplete command is refused, and operators stop only what is theirs", async () => {
  await using fleet = await testFleet();
  await using typed = await openTestCli(fleet);
  const { by } = typed;
  const type = (...words: string[]) => typed.fleet(...words);
  const exits = await Promise.all([
    type("estop", "--freeze"),
    type("estop", "--fleet", "--tenant", "x", "--reason", "y"),
    type("estop", "--product", "shop", "--park", "--abort", "--reason", "y"),
    type("estop", "--product", "shop"),
    type("estop", "release"),
    type("estop", "--product", "nothing", "--reason", "y"),
    type("estop", "--fleet", "--reason", "y"),
    type("estop", "--agent", "ffffffff", "--reason", "y"),
  ]);
  expect(exits.map(({ exit }) => exit)).toEqual([2, 2, 2, 2, 2, 3, 3, 3]);

  const admin = await fleet.operator({ role: "admin" });
  await engageEstop(fleet.fleet, admin, { scope: "fleet", mode: "park", reason: "drill" });
  expect((await type("estop")).out).toContain(`■ the whole fleet is parked: drill (by ${admin.id}`);
  expect(await type("spawn", await fleet.aRepository(), "do it", "--agent-type", "stub")).toMatchObject({
    exit: 3,
    err: expect.stringContaining("The whole fleet is parked: drill. Release it: fleet estop release --fleet"),
  });
  expect((await type("estop", "release", "--fleet")).exit).toBe(3);
  expect(by.role).toBeUndefined();
});
