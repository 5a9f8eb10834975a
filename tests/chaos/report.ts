/** The table at the end: how often each fault was injected, how long the recovery took, and which checks hold. */
import { FAULTS, type Fault } from "./options.ts";
import type { FaultRecord } from "./faults.ts";
import type { Proof } from "./proofs.ts";
import type { ChaosEnvironment } from "./environment.ts";

export interface FaultRow {
  readonly fault: Fault;
  readonly count: number;
  readonly recoveriesMs: readonly number[];
  readonly wrong: readonly string[];
}

/**
 * For each fault: the first transition afterwards of what it affected, by any process; from the audit log and the
 * notifications.
 */
export async function buildFaultRows(
  stage: ChaosEnvironment,
  strikes: readonly FaultRecord[],
  faults: readonly Fault[],
): Promise<FaultRow[]> {
  const rows: FaultRow[] = [];
  for (const fault of faults) {
    const own = strikes.filter((strike) => strike.fault === fault);
    const recoveries: number[] = [];
    for (const strike of own) recoveries.push(...(await measureRecoveries(stage, strike)));
    const wrong = own.flatMap((strike) => (strike.wrong ? [strike.wrong] : []));
    rows.push({ fault, count: own.length, recoveriesMs: recoveries, wrong });
  }
  return rows;
}

export async function measureRecoveries(stage: ChaosEnvironment, strike: FaultRecord): Promise<number[]> {
  if (strike.tookMs !== undefined) return [strike.tookMs];
  const at = new Date(strike.at).toISOString();
  if (strike.subject !== undefined) return numbers(await stage.query(NEXT_OF_SUBJECT, [strike.subject, at]));
  if (strike.pid !== undefined) return numbers(await stage.query(NEXT_OF_HELD, [`%/${strike.pid}/%`, at]));
  return numbers(await stage.query(NEXT_OF_ANY, [at]));
}

const NEXT_OF_SUBJECT = `
  select extract(epoch from min(at) - $2::timestamptz) * 1000 as ms from (
    select at from audit_log where task_id = $1::uuid and at > $2::timestamptz
    union all select delivered_at from fleet_notifications where id = $1::uuid and delivered_at > $2::timestamptz) n
  having min(at) is not null`;

/** Tasks whose latest entry before the fault is the dead process's, while it started them. */
const NEXT_OF_HELD = `
  select extract(epoch from (select min(n.at) from audit_log n where n.task_id = l.task_id and n.at > $2::timestamptz) - $2::timestamptz) * 1000 as ms
  from (select distinct on (task_id) task_id, actor, action from audit_log where at <= $2::timestamptz order by task_id, seq desc) l
  where l.actor like $1 and l.action in ('spawn.claimed', 'spawn.resumed', 'spawn.prepared')
    and exists (select from audit_log n where n.task_id = l.task_id and n.at > $2::timestamptz)`;

const NEXT_OF_ANY = `
  select extract(epoch from min(at) - $1::timestamptz) * 1000 as ms from audit_log
  where at > $1::timestamptz and action <> 'spawn.asked' having min(at) is not null`;

function numbers(rows: readonly Record<string, unknown>[]): number[] {
  return rows.map((row) => Number(row["ms"]));
}

export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

export function printRows(rows: readonly FaultRow[], duplicated: number, say: (line: string) => void): void {
  say(`${"fault".padEnd(68)} ${"struck".padStart(7)} ${"p50".padStart(9)} ${"p99".padStart(9)}  wrong`);
  for (const { fault, count, recoveriesMs, wrong } of rows) {
    const struck = fault === "F22" ? duplicated : count;
    const ms = (share: number) => {
      const value = percentile(recoveriesMs, share);
      return (value === undefined ? "-" : `${Math.round(value)} ms`).padStart(9);
    };
    say(
      `${`${fault} ${FAULTS[fault]}`.padEnd(68)} ${String(struck).padStart(7)} ${ms(0.5)} ${ms(0.99)}  ${wrong.length}`,
    );
    for (const sentence of wrong) say(`  WRONG ${sentence}`);
  }
}

export function printProofs(proofs: readonly Proof[], say: (line: string) => void): void {
  for (const { id, statement, violations } of proofs) {
    say(`${violations.length === 0 ? "holds" : "BROKEN"}  ${id.padEnd(8)} ${statement}`);
    for (const violation of violations) say(`        ${violation}`);
  }
}

/** Where the time of an attempt went: medians of the spawn's steps, and of the waits between transitions. */
export async function printTimes(stage: ChaosEnvironment, say: (line: string) => void): Promise<void> {
  const steps = await stage.query(
    `select step->>'step' as name, percentile_cont(0.5) within group (order by (step->>'ms')::float8) as ms
     from audit_log a cross join lateral jsonb_array_elements(a.detail->'steps') as step
     where a.action = 'task.running' group by 1 order by 2 desc`,
  );
  const moves = await stage.query(
    `select action as name, percentile_cont(0.5) within group (order by ms) as ms from (
       select action, extract(epoch from at - lag(at) over (partition by task_id order by seq)) * 1000 as ms from audit_log) a
     where ms is not null group by action having count(*) > 2 order by 2 desc`,
  );
  say(`median ms of the steps: ${formatMedians(steps)}`);
  say(`median ms until: ${formatMedians(moves)}`);
}

function formatMedians(rows: readonly Record<string, unknown>[]): string {
  return rows.map((row) => `${String(row["name"])} ${Math.round(Number(row["ms"]))}`).join(", ");
}
