/** checks: when each of the fleet's checks of itself last finished, and its result. Worker role. */
import { z } from "zod";
import type { Load } from "../domain/monitor/self-monitoring.ts";
import { sql, type Tx } from "./sql.ts";

export const Check = z.object({
  name: z.string(),
  periodMs: z.number(),
  lastGoodAt: z.date().nullable(),
  ageMs: z.number(),
  tookMs: z.number(),
  result: z.record(z.string(), z.unknown()),
});
export type Check = z.infer<typeof Check>;

const age = sql`greatest(0, extract(epoch from now() - coalesce(last_good_at, since)) * 1000)::float8 as age_ms`;

/** Makes these the expected checks and deletes all others. */
export async function syncExpectedChecks(
  tx: Tx,
  expected: readonly { readonly name: string; readonly periodMs: number }[],
): Promise<void> {
  await tx.run`
    with wanted as (
      select name, "periodMs" as period_ms from jsonb_to_recordset(${JSON.stringify(expected)}::jsonb)
        as w (name text, "periodMs" float8)
    ), unexpected as (
      delete from checks where name not in (select name from wanted)
    )
    insert into checks as c (name, period_ms) select name, period_ms from wanted order by name
    on conflict on constraint checks_pkey do update set period_ms = excluded.period_ms
      where c.period_ms <> excluded.period_ms`;
}

export async function recordCheck(
  tx: Tx,
  check: {
    readonly name: string;
    readonly periodMs: number;
    readonly tookMs: number;
    readonly worker: string;
    readonly result?: object;
  },
): Promise<void> {
  const result = check.result === undefined ? null : JSON.stringify(check.result);
  await tx.run`
    insert into checks as c (name, period_ms, last_good_at, took_ms, worker, result)
    values (${check.name}, ${check.periodMs}, now(), ${check.tookMs}, ${check.worker}, coalesce(${result}::jsonb, '{}'))
    on conflict on constraint checks_pkey do update set last_good_at = now(), took_ms = excluded.took_ms,
      worker = excluded.worker, result = coalesce(${result}::jsonb, c.result)`;
}

export async function listChecks(tx: Tx): Promise<Check[]> {
  return tx.many(Check)`
    select name, period_ms, last_good_at, ${age}, took_ms, result from checks order by name collate "C"`;
}

/** Lists hosts as checks, because each reports at every tick. One that has shut down or has been silent for two days is not expected. */
export async function listHostChecks(tx: Tx, tickMs: number): Promise<Check[]> {
  return tx.many(Check)`
    select 'host/' || id as name, ${tickMs}::float8 as period_ms, reported_at as last_good_at,
      greatest(0, extract(epoch from now() - reported_at) * 1000)::float8 as age_ms, 0::float8 as took_ms, '{}'::jsonb as result
    from hosts where not draining and reported_at > now() - interval '2 days' order by id`;
}

/** Counts the tasks that wait for a host, and measures the longest wait; the index of the queue alone answers it. */
export async function measureSlotQueue(tx: Tx): Promise<Load> {
  return tx.one(z.object({ waiting: z.int(), oldestMs: z.number() }))`
    select count(*)::int as waiting,
      coalesce(greatest(0, extract(epoch from now() - min(coalesce(condition_since, created_at))) * 1000), 0)::float8 as oldest_ms
    from fleet_tasks where condition = 'waiting_slot' and waiting_for = 'spawn' and condition_detail ? 'host'`;
}
