/**
 * Waits until the fleet is idle: every task ended and cleaned up, every notification delivered, nothing left to
 * relay.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { ChaosEnvironment } from "./environment.ts";

export interface ChaosProgress {
  readonly open: number;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly toClean: number;
  readonly toNotify: number;
  readonly toRelay: number;
  readonly entries: number;
}

export async function readProgress(stage: ChaosEnvironment): Promise<ChaosProgress> {
  const [row = {}] = await stage.query(
    `select (select count(*)::int from fleet_tasks where completed_at is null) as open,
       (select count(*)::int from fleet_tasks where completed_at is not null and workspace_path is not null) as to_clean,
       (select count(*)::int from attempts where closed_at is null) as unclosed,
       (select count(*)::int from fleet_notifications where status = 'pending') as to_tell,
       (select count(*)::int from outbox where processed_at is null) as to_relay,
       (select count(*)::int from audit_log) as entries,
       (select coalesce(jsonb_object_agg(status, n), '{}') from (select status, count(*)::int as n from fleet_tasks group by status) s) as by_status`,
  );
  const number = (name: string) => Number(row[name] ?? 0);
  const byStatus = Object.fromEntries(Object.entries(row["by_status"] ?? {}).map(([status, n]) => [status, Number(n)]));
  const toClean = number("to_clean") + number("unclosed");
  return {
    open: number("open"),
    byStatus,
    toClean,
    toNotify: number("to_tell"),
    toRelay: number("to_relay"),
    entries: number("entries"),
  };
}

/** Undefined when the fleet is idle; else what is still pending after `withinMs` without any progress. */
export async function waitUntilIdle(stage: ChaosEnvironment, withinMs: number): Promise<ChaosProgress | undefined> {
  let last = await readProgress(stage);
  let progressedAt = Date.now();
  for (;;) {
    if (last.open + last.toClean + last.toNotify + last.toRelay === 0) return undefined;
    if (Date.now() - progressedAt > withinMs) return last;
    await pause(300);
    const now = await readProgress(stage);
    const left = (progress: ChaosProgress) => progress.open + progress.toClean + progress.toNotify;
    if (left(now) < left(last)) progressedAt = Date.now();
    last = now;
  }
}
