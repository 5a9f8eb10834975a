/** Schedules: what a file may contain, when its slots are, and when one is due, exactly once. */
import { expect, test } from "vitest";
import {
  decideSlot,
  dueSlot,
  nextSlot,
  parseSchedule,
  toCronPattern,
  slotAt,
  type ScheduleFacts,
  type Timing,
} from "../../../src/domain/orders/schedule.ts";

const FILE = { schema_version: 1, product_id: "shop", cadence: "hourly", jobs: [{ intent: "validate" }] };
const parse = (file: object, name = "shop") => parseSchedule(JSON.stringify(file), name);

test("a minimal file is valid: the rest has defaults", () => {
  expect(parse(FILE)).toEqual({
    ok: true,
    schedule: {
      ...FILE,
      enabled: true,
      jobs: [
        {
          intent: "validate",
          budget: { max_actions: 4, max_seconds: 900, max_output_bytes: 16_777_216 },
          stop_conditions: ["on_validation_fail", "on_budget_exceeded"],
          priority: 50,
        },
      ],
    },
  });
});

test("a parsed schedule parses to the same schedule again", () => {
  const parsed = parse(FILE);

  expect(parsed.ok && parse(parsed.schedule)).toEqual(parsed);
});

test.each([
  [{ ...FILE, cadence: "often" }, "cadence"],
  [{ ...FILE, schema_version: 2 }, "schema_version"],
  [{ ...FILE, product_id: "bazaar" }, "product_id"],
  [{ ...FILE, cron: "* * * * *" }, "cron"],
  [{ ...FILE, at: "02:30" }, "at"],
  [{ ...FILE, cadence: "daily", at: "24:00" }, "at"],
  [{ ...FILE, cadence: "daily", every: 5 }, "every"],
  [{ ...FILE, every: 0 }, "every"],
  [{ ...FILE, jobs: [] }, "jobs"],
  [{ ...FILE, jobs: [{ intent: "deploy" }] }, "jobs[0].intent"],
  [{ ...FILE, jobs: [{ intent: "test" }, { intent: "test" }] }, "jobs[1].intent"],
  [{ ...FILE, jobs: [{ intent: "test", budget: { max_actions: 0 } }] }, "jobs[0].budget.max_actions"],
  [{ ...FILE, jobs: [{ intent: "test", priority: 101 }] }, "jobs[0].priority"],
  [{ ...FILE, jobs: [{ intent: "test", stop_conditions: ["never"] }] }, "jobs[0].stop_conditions[0]"],
])("a mistake is named by its field: %j", (file, path) => {
  const parsed = parse(file);

  expect(parsed.ok ? [] : parsed.problems.map((problem) => problem.path)).toEqual([path]);
});

test("invalid JSON is a problem of the whole file", () => {
  expect(parseSchedule("{", "shop")).toMatchObject({ ok: false, problems: [{ path: "" }] });
});

const at = (text: string) => new Date(`2026-03-${text}Z`); // On the 29th, a Sunday, Europe's clocks change.
const slot = (timing: Timing, now: string) => slotAt(timing, at(now))?.toISOString().slice(8, 16);

test("slots are at full hours, at a time of day, on Mondays, or every so many minutes, in UTC", () => {
  expect(slot({ cadence: "hourly" }, "29T01:59:59.999")).toBe("29T01:00");
  expect(slot({ cadence: "hourly" }, "29T02:00:00")).toBe("29T02:00");
  expect(slot({ cadence: "hourly", every: 15 }, "29T02:14:00")).toBe("29T02:00");
  expect(slot({ cadence: "hourly", every: 1 }, "29T02:14:59")).toBe("29T02:14");
  expect(slot({ cadence: "daily" }, "29T02:14:00")).toBe("29T00:00");
  expect(slot({ cadence: "daily", at: "02:30" }, "29T02:29:59")).toBe("28T02:30");
  expect(slot({ cadence: "daily", at: "02:30" }, "29T02:30:00")).toBe("29T02:30");
  expect(slot({ cadence: "weekly", at: "06:00" }, "29T12:00:00")).toBe("23T06:00");
  expect(slot({ cadence: "weekly", at: "06:00" }, "30T06:00:00")).toBe("30T06:00");
  expect(slotAt({ cadence: "manual" }, at("29T00:00:00"))).toBeUndefined();
});

test("the queue's scheduler gets the same times", () => {
  expect(toCronPattern({ cadence: "hourly" })).toBe("0 * * * *");
  expect(toCronPattern({ cadence: "hourly", every: 1 })).toBe("* * * * *");
  expect(toCronPattern({ cadence: "hourly", every: 20 })).toBe("*/20 * * * *");
  expect(toCronPattern({ cadence: "hourly", every: 45 })).toBeUndefined();
  expect(toCronPattern({ cadence: "daily", at: "02:30" })).toBe("30 2 * * *");
  expect(toCronPattern({ cadence: "weekly" })).toBe("0 0 * * 1");
  expect(toCronPattern({ cadence: "on_push" })).toBeUndefined();
});

const FACTS: ScheduleFacts = {
  enabled: true,
  paused: false,
  lastSlotAt: null,
  since: at("29T00:10:00"),
  pushedAt: null,
};
const hourly: Timing = { cadence: "hourly" };
const due = (now: string, facts: Partial<ScheduleFacts> = {}, timing = hourly) =>
  dueSlot(timing, { ...FACTS, ...facts }, at(now))
    ?.toISOString()
    .slice(8, 16);

test("a new schedule waits for its first slot", () => {
  expect(due("29T00:59:59")).toBeUndefined();
  expect(due("29T01:00:00")).toBe("29T01:00");
});

test("missed slots are made up by one run, however many they are", () => {
  expect(due("30T14:20:00", { lastSlotAt: at("29T01:00:00") })).toBe("30T14:00");
  expect(due("30T14:20:01", { lastSlotAt: at("30T14:00:00") })).toBeUndefined();
});

test("a clock that jumps by an hour creates no slot twice", () => {
  const seen: string[] = [];
  let lastSlotAt: Date | null = null;
  // Forward, an hour ahead, back again, and over the same hours once more.
  for (const now of ["29T01:00:01", "29T02:00:02", "29T01:00:03", "29T01:59:59", "29T02:00:00", "29T03:00:00"]) {
    const found = due(now, { lastSlotAt });
    if (!found) continue;
    seen.push(found);
    lastSlotAt = at(`${found}:00`);
  }

  expect(seen).toEqual(["29T01:00", "29T02:00", "29T03:00"]);
});

test("a schedule that is disabled or paused is never due, and has no next slot", () => {
  for (const facts of [{ enabled: false }, { paused: true }]) {
    expect(due("29T05:00:00", facts)).toBeUndefined();
    expect(nextSlot(hourly, { ...FACTS, ...facts }, at("29T05:00:00"))).toBeUndefined();
  }
});

test("the next slot is the one that is due, or the first in the future", () => {
  const next = (now: string, lastSlotAt: Date | null) =>
    nextSlot(hourly, { ...FACTS, lastSlotAt }, at(now))
      ?.toISOString()
      .slice(8, 16);

  expect(next("29T05:10:00", at("29T03:00:00"))).toBe("29T05:00");
  expect(next("29T05:10:00", at("29T05:00:00"))).toBe("29T06:00");
  expect(next("29T05:10:00", at("29T07:00:00"))).toBe("29T08:00");
});

test("a push is due at once; a manual schedule is never due", () => {
  const pushedAt = at("29T05:00:07");

  expect(dueSlot({ cadence: "on_push" }, { ...FACTS, pushedAt }, at("29T05:00:08"))).toEqual(pushedAt);
  expect(dueSlot({ cadence: "on_push" }, FACTS, at("29T05:00:08"))).toBeUndefined();
  expect(due("30T00:00:00", {}, { cadence: "manual" })).toBeUndefined();
});

test("a slot is created, skipped while its orders are open, or passed over for a stopped product; a push waits", () => {
  const now = at("29T02:00:00");
  const slotNow = { slotAt: now };

  expect(decideSlot(hourly, FACTS, { stopped: undefined, open: 0 }, now)).toEqual({ do: "make", ...slotNow });
  expect(decideSlot(hourly, FACTS, { stopped: undefined, open: 1 }, now)).toMatchObject({ do: "pass", ...slotNow });
  expect(decideSlot(hourly, FACTS, { stopped: "it leaks", open: 0 }, now)).toEqual({
    do: "pass",
    ...slotNow,
    outcome: "skipped: it leaks",
  });
  expect(decideSlot(hourly, { ...FACTS, lastSlotAt: now }, { stopped: undefined, open: 0 }, now).do).toBe("nothing");
  const pushed = { ...FACTS, pushedAt: now };
  expect(decideSlot({ cadence: "on_push" }, pushed, { stopped: undefined, open: 1 }, now).do).toBe("wait");
});
