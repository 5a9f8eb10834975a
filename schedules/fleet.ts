/** The fleet's own schedules: monitoring, planning, drift and science scans, and garbage collection. */
import { driftQueue } from "../queues/drift.ts";
import { gcQueue } from "../queues/gc.ts";
import { plannerQueue } from "../queues/planner.ts";
import { monitorQueue, type MonitorJob } from "../queues/monitor.ts";
import { defineSchedule, type Schedule } from "./define.ts";

export interface FleetSchedulesOptions {
  /** The interval of the monitor, from which those of its other checks are derived. */
  readonly tickMs?: number;
  /** Into how many jobs a sweep over the live tasks is split, so that several workers can share it. */
  readonly shards?: number;
  /** As fleet.yaml says; without `everyMinutes` nothing is planned on schedule. */
  readonly planner?: { readonly everyMinutes?: number | undefined; readonly budget: number; readonly run: boolean };
}

/** With 5 s, a dead agent is detected before it misses two heartbeats. */
const TICK_MS = 5_000;
/** The reconciler runs several times per tick, so that work whose job was lost waits less than half a tick for it. */
const RECONCILES_PER_TICK = 2.5;
const TICKS_PER_INVARIANTS = 12;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

export function fleetSchedules({ tickMs = TICK_MS, shards = 2, planner }: FleetSchedulesOptions = {}): Schedule[] {
  const sweeps = Array.from({ length: shards }, (_, shard) => ({
    what: `sweep-${shard}`,
    everyMs: tickMs,
    payload: { kind: "sweep", shard, of: shards } as const,
  }));
  const monitorSchedules = [
    ...sweeps,
    { what: "reconcile", everyMs: tickMs / RECONCILES_PER_TICK, payload: { kind: "reconcile" } as const },
    { what: "invariants", everyMs: tickMs * TICKS_PER_INVARIANTS, payload: { kind: "invariants" } as const },
    { what: "checkpoint", everyMs: HOUR_MS, payload: { kind: "checkpoint" } as const },
  ].map(monitorSchedule);
  return [
    ...monitorSchedules,
    ...plannerSchedules(planner),
    defineSchedule({ id: "planner/due", queue: plannerQueue, everyMs: MINUTE_MS, payload: { kind: "due" } }),
    defineSchedule({ id: "drift/fleet", queue: driftQueue, everyMs: HOUR_MS, payload: { kind: "fleet" } }),
    defineSchedule({ id: "drift/science", queue: driftQueue, everyMs: 10 * MINUTE_MS, payload: { kind: "science" } }),
    defineSchedule({ id: "gc/rows", queue: gcQueue, everyMs: HOUR_MS, payload: { what: "rows" } }),
    defineSchedule({ id: "gc/hosts", queue: gcQueue, everyMs: HOUR_MS, payload: { what: "hosts" } }),
  ];
}

function plannerSchedules(planner: FleetSchedulesOptions["planner"]): Schedule[] {
  if (planner?.everyMinutes === undefined) return [];
  const { everyMinutes, budget, run } = planner;
  const payload = { kind: "state", budget, run } as const;
  return [defineSchedule({ id: "planner/state", queue: plannerQueue, everyMs: everyMinutes * MINUTE_MS, payload })];
}

function monitorSchedule({ what, everyMs, payload }: { what: string; everyMs: number; payload: MonitorJob }): Schedule {
  return defineSchedule({
    id: `${monitorQueue.name}/${what}`,
    queue: monitorQueue,
    everyMs: Math.round(everyMs),
    payload,
  });
}
