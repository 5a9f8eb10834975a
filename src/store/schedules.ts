/** schedules: one row per file, as it was last read, and what became of its slots. Written by the house alone (worker role). */
import { type z } from "zod";
import { type Paused, Schedule } from "../domain/orders/schedule.ts";
import { sql, type Tx } from "./sql.ts";

const columns = sql`s.id, s.tenant_id, s.operator_id, s.product_id, s.cadence, s.definition, s.file, s.sha256, s.problems,
  s.enabled, s.paused, s.last_slot_at, s.last_run_at, s.last_outcome, s.pushed_at, s.created_at, s.updated_at`;

/** All of a tenant, or all there are. */
export async function listSchedules(tx: Tx, tenantId?: string): Promise<Schedule[]> {
  return tx.many(Schedule)`
    select ${columns} from schedules s where ${tenantId ?? null}::text is null or s.tenant_id = ${tenantId ?? null}
    order by s.tenant_id, s.id collate "C"`;
}

export interface ScheduleKey {
  readonly tenantId: string;
  readonly id: string;
}

export async function findSchedule(tx: Tx, { tenantId, id }: ScheduleKey): Promise<Schedule | undefined> {
  return tx.maybeOne(Schedule)`select ${columns} from schedules s where s.tenant_id = ${tenantId} and s.id = ${id}`;
}

/** One at a time decides about its slot. */
export async function lockSchedule(tx: Tx, { tenantId, id }: ScheduleKey): Promise<Schedule | undefined> {
  return tx.maybeOne(Schedule)`
    select ${columns} from schedules s where s.tenant_id = ${tenantId} and s.id = ${id} for update`;
}

/** What a look at the file found. */
export type ScannedSchedule = Pick<
  Schedule,
  "id" | "tenantId" | "operatorId" | "productId" | "definition" | "file" | "sha256" | "problems"
>;

/**
 * As the file says now. `passedAt` is the slot that counts as made when its timing is new: an old slot of a new timing is
 * nobody's. An invalid file leaves the definition as it was.
 */
export async function upsertSchedule(tx: Tx, scanned: ScannedSchedule, at: Date, passedAt: Date | null): Promise<void> {
  const { definition } = scanned;
  const problems = scanned.problems ? JSON.stringify(scanned.problems) : null;
  await tx.run`
    insert into schedules as s (id, tenant_id, operator_id, product_id, cadence, definition, file, sha256, problems, enabled,
      created_at, updated_at)
    values (${scanned.id}, ${scanned.tenantId}, ${scanned.operatorId}, ${scanned.productId}, ${definition?.cadence ?? null},
      ${definition ? JSON.stringify(definition) : null}::jsonb, ${scanned.file}, ${scanned.sha256}, ${problems}::jsonb,
      ${definition?.enabled ?? false}, ${at}, ${at})
    on conflict (tenant_id, id) do update set operator_id = excluded.operator_id, product_id = excluded.product_id,
      cadence = coalesce(excluded.cadence, s.cadence), definition = coalesce(excluded.definition, s.definition),
      file = excluded.file, sha256 = excluded.sha256, problems = excluded.problems,
      enabled = case when excluded.definition is null then s.enabled else excluded.enabled end,
      last_slot_at = greatest(s.last_slot_at, ${passedAt}::timestamptz), updated_at = excluded.updated_at`;
}

export async function deleteSchedule(tx: Tx, { tenantId, id }: ScheduleKey): Promise<void> {
  await tx.run`delete from schedules where tenant_id = ${tenantId} and id = ${id}`;
}

/** `passedAt` when it goes on: what was missed meanwhile was meant to be. */
export async function setSchedulePause(
  tx: Tx,
  { tenantId, id }: ScheduleKey,
  paused: z.infer<typeof Paused> | null,
  passedAt: Date | null = null,
): Promise<void> {
  await tx.run`
    update schedules set paused = ${paused && JSON.stringify(paused)}::jsonb,
      last_slot_at = greatest(last_slot_at, ${passedAt}::timestamptz), updated_at = now()
    where tenant_id = ${tenantId} and id = ${id}`;
}

/** A push wants it to run; several before it does are one. */
export async function recordPush(tx: Tx, { tenantId, id }: ScheduleKey, at: Date): Promise<void> {
  await tx.run`
    update schedules set pushed_at = greatest(pushed_at, ${at}), updated_at = now()
    where tenant_id = ${tenantId} and id = ${id}`;
}

export interface SlotOutcome {
  /** The slot that is done with; null when a person asked out of turn. */
  readonly slotAt: Date | null;
  /** When its orders were made; null when none were. */
  readonly ranAt: Date | null;
  readonly outcome: string;
}

/** The transaction that made (or passed over) a slot says so in the same transaction; a push that came before it is answered. */
export async function recordSlot(
  tx: Tx,
  { tenantId, id }: ScheduleKey,
  { slotAt, ranAt, outcome }: SlotOutcome,
): Promise<void> {
  await tx.run`
    update schedules set last_slot_at = greatest(last_slot_at, ${slotAt}::timestamptz),
      last_run_at = coalesce(${ranAt}::timestamptz, last_run_at), last_outcome = ${outcome},
      pushed_at = case when pushed_at > ${slotAt ?? ranAt}::timestamptz then pushed_at end, updated_at = now()
    where tenant_id = ${tenantId} and id = ${id}`;
}
