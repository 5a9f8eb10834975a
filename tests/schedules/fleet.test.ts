/** The fleet's own schedules: which job is added to which queue, and how often. */
import { expect, test } from "vitest";
import { fleetSchedules } from "../../schedules/fleet.ts";

test("by default two shards are swept every five seconds, and waiting work is checked every two", () => {
  const paces = Object.fromEntries(fleetSchedules().map(({ id, everyMs }) => [id, everyMs]));

  expect(paces).toEqual({
    "monitor/sweep-0": 5_000,
    "monitor/sweep-1": 5_000,
    "monitor/reconcile": 2_000,
    "monitor/invariants": 60_000,
    "monitor/checkpoint": 3_600_000,
    "planner/due": 60_000,
    "drift/fleet": 3_600_000,
    "drift/science": 600_000,
    "gc/rows": 3_600_000,
    "gc/hosts": 3_600_000,
  });
});

test("a faster tick makes everything faster, and each shard knows how many there are", () => {
  const schedules = fleetSchedules({ tickMs: 500, shards: 3 });

  expect(schedules.find(({ id }) => id === "monitor/reconcile")?.everyMs).toBe(200);
  expect(schedules.filter(({ id }) => id.startsWith("monitor/sweep")).map(({ payload }) => payload)).toEqual([
    { kind: "sweep", shard: 0, of: 3 },
    { kind: "sweep", shard: 1, of: 3 },
    { kind: "sweep", shard: 2, of: 3 },
  ]);
});

test("every payload is valid for its queue", () => {
  for (const { queue, payload } of fleetSchedules()) expect(queue.payload.safeParse(payload).success).toBe(true);
});
