/** From the files in schedules/ to rows to schedulers in the queue, and the differences between the three. */
import { isDeepStrictEqual } from "node:util";
import { defineSchedule, type Schedule as QueueSchedule } from "../../../schedules/define.ts";
import { plannerQueue } from "../../../queues/planner.ts";
import type { Scheduler } from "../../broker/broker.ts";
import type { Product } from "../../domain/product.ts";
import {
  slotIntervalOf,
  parseSchedule,
  toCronPattern,
  slotAt,
  type ScheduleProblem,
  type Schedule,
} from "../../domain/orders/schedule.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import {
  deleteSchedule,
  listSchedules,
  upsertSchedule,
  type ScannedSchedule,
  type ScheduleKey,
} from "../../store/schedules.ts";
import { auditOperator } from "../../store/operators.ts";
import type { Fleet, ScheduleSource } from "../fleet.ts";
import { systemOperatorId, ensureSystemOperator } from "../scope.ts";

const MAX_NAME_LENGTH = 128;

/** Updates the rows from the files, one worker at a time, and returns the schedules that the queue should run. */
export async function syncSchedules(fleet: Fleet): Promise<QueueSchedule[]> {
  const files = await fleet.scheduleFiles();
  if (files) await fleet.store.tryWithLock("schedules/files", () => writeRows(fleet, files));
  const rows = await fleet.store.asSystem((tx) => listSchedules(tx));
  return rows.flatMap(toQueueSchedules);
}

/** Empty for a schedule without fixed times (manual, on_push), and for one that is invalid, disabled or paused. */
export function toQueueSchedules(row: Schedule): QueueSchedule[] {
  const { definition, problems, enabled, paused, tenantId, id } = row;
  const pace = definition && slotIntervalOf(definition);
  if (!pace || problems || !enabled || paused) return [];
  return [
    defineSchedule({
      id: schedulerId(row),
      queue: plannerQueue,
      everyMs: pace.everyMs,
      pattern: toCronPattern(definition),
      payload: { kind: "schedule", tenantId, scheduleId: id },
    }),
  ];
}

function schedulerId({ tenantId, id }: ScheduleKey): string {
  return `${plannerQueue.name}/${tenantId}/${id}`;
}

async function writeRows(fleet: Fleet, files: readonly ScheduleSource[]): Promise<void> {
  const rows = await fleet.store.asSystem((tx) => listSchedules(tx));
  const known = new Map(rows.map((row) => [schedulerId(row), row]));
  const wanted = new Set<string>();
  for (const found of readSources(fleet, files)) {
    const id = schedulerId(found);
    wanted.add(id);
    const row = known.get(id);
    if (!row || differs(row, found)) await writeRow(fleet, row, found);
  }
  for (const row of rows) if (!wanted.has(schedulerId(row))) await removeRow(fleet, row);
}

function differs(row: Schedule, found: ScannedSchedule): boolean {
  return row.sha256 !== found.sha256 || row.file !== found.file || !isDeepStrictEqual(row.problems, found.problems);
}

function readSources(fleet: Fleet, files: readonly ScheduleSource[]): ScannedSchedule[] {
  const products = new Map(fleet.settings.products.map((product) => [product.id, product]));
  return files.map((source) => readSource(fleet, source, products.get(source.name)));
}

/** The row that a file describes. A schedule whose product does not exist belongs to the system tenant. */
function readSource(fleet: Fleet, source: ScheduleSource, product: Product | undefined): ScannedSchedule {
  const { text = "", file, unreadable } = source;
  const parsed = unreadable === undefined ? parseSchedule(text, source.name) : invalidFile("", unreadable);
  const problems = parsed.ok ? [] : [...parsed.problems];
  if (parsed.ok && !product) {
    problems.push({ path: "product_id", message: `there is no product ${source.name} in fleet.yaml` });
  }
  const tenantId = product?.tenant ?? SYSTEM_TENANT;
  const id = source.name.slice(0, MAX_NAME_LENGTH);
  return {
    id,
    tenantId,
    operatorId: systemOperatorId(tenantId),
    productId: id,
    definition: parsed.ok && problems.length === 0 ? parsed.schedule : null,
    file,
    sha256: fleet.sha256(unreadable ?? text),
    problems: problems.length > 0 ? problems : null,
  };
}

function invalidFile(path: string, message: string): { ok: false; problems: readonly ScheduleProblem[] } {
  return { ok: false, problems: [{ path, message }] };
}

async function writeRow(fleet: Fleet, before: Schedule | undefined, found: ScannedSchedule): Promise<void> {
  const { id: operatorId } = await ensureSystemOperator(fleet, found.tenantId);
  const { definition, problems, file, sha256 } = found;
  const now = fleet.clock();
  // With a new timing, or after the schedule was disabled, slots in the past are not made up.
  const isNewTiming = before?.definition && definition && !isSameTiming(before, found);
  const passedAt = isNewTiming ? (slotAt(definition, now) ?? null) : null;
  await fleet.store.asSystem(async (tx) => {
    await upsertSchedule(tx, found, now, passedAt);
    const detail = { schedule: found.id, file, sha256, problems: problems ?? [] };
    await auditOperator(tx, { operatorId, actor: fleet.worker, action: "schedule.read", detail });
  });
  if (!problems) return;
  const facts = { event: "schedule.invalid", schedule: found.id, file, problems };
  fleet.log.warn(facts, `${file} is not valid: ${problems.map(describeProblem).join("; ")}`);
}

function isSameTiming({ definition: a, enabled }: Schedule, { definition: b }: ScannedSchedule): boolean {
  const same = a?.cadence === b?.cadence && a?.at === b?.at && a?.every === b?.every;
  return same && enabled === b?.enabled;
}

export function describeProblem({ path, message }: ScheduleProblem): string {
  return path === "" ? message : `${path}: ${message}`;
}

async function removeRow(fleet: Fleet, { tenantId, id, file }: Schedule): Promise<void> {
  const { id: operatorId } = await ensureSystemOperator(fleet, tenantId);
  await fleet.store.asSystem(async (tx) => {
    await deleteSchedule(tx, { tenantId, id });
    const detail = { schedule: id, file };
    await auditOperator(tx, { operatorId, actor: fleet.worker, action: "schedule.removed", detail });
  });
}

/** A difference between what is declared and what is active; a running worker corrects it at its next sync. */
export interface ScheduleDifference extends ScheduleKey {
  readonly what: "not-read" | "file-gone" | "file-changed" | "not-in-queue" | "other-in-queue" | "only-in-queue";
  readonly declared: string | null;
  readonly actual: string | null;
}

/** Of one tenant: files against rows (when this process has the folder), rows against the queue's schedulers. */
export async function scheduleDifferences(fleet: Fleet, tenantId: string): Promise<ScheduleDifference[]> {
  const [files, rows, schedulers] = await Promise.all([
    fleet.scheduleFiles(),
    fleet.store.asSystem((tx) => listSchedules(tx, tenantId)),
    fleet.broker.listSchedulers([plannerQueue]),
  ]);
  const found = files && readSources(fleet, files).filter((source) => source.tenantId === tenantId);
  return [...(found ? compareWithFiles(rows, found) : []), ...compareWithQueue(tenantId, rows, schedulers)];
}

function compareWithFiles(rows: readonly Schedule[], files: readonly ScannedSchedule[]): ScheduleDifference[] {
  const known = new Map(rows.map((row) => [row.id, row]));
  const inFiles = new Set(files.map(({ id }) => id));
  const changed = files.flatMap((found): ScheduleDifference[] => {
    const row = known.get(found.id);
    const { id, tenantId, file } = found;
    if (!row) return [{ id, tenantId, what: "not-read", declared: file, actual: null }];
    if (row.sha256 === found.sha256) return [];
    return [{ id, tenantId, what: "file-changed", declared: found.sha256, actual: row.sha256 }];
  });
  const removed = rows
    .filter(({ id }) => !inFiles.has(id))
    .map(({ id, tenantId, file }): ScheduleDifference => {
      return { id, tenantId, what: "file-gone", declared: null, actual: file };
    });
  return [...changed, ...removed];
}

function compareWithQueue(
  tenantId: string,
  rows: readonly Schedule[],
  schedulers: readonly Scheduler[],
): ScheduleDifference[] {
  const prefix = schedulerId({ tenantId, id: "" });
  const inQueue = new Map(schedulers.filter(({ id }) => id.startsWith(prefix)).map((found) => [found.id, found]));
  const wanted = new Map(rows.flatMap(toQueueSchedules).map((schedule) => [schedule.id, schedule]));
  const missing = [...wanted.values()].flatMap((schedule): ScheduleDifference[] => {
    const scheduler = inQueue.get(schedule.id);
    const key = { tenantId, id: schedule.id.slice(prefix.length), declared: describePace(schedule) };
    if (!scheduler) return [{ ...key, what: "not-in-queue", actual: null }];
    if (describePace(scheduler) === key.declared) return [];
    return [{ ...key, what: "other-in-queue", actual: describePace(scheduler) }];
  });
  const extra = [...inQueue.values()]
    .filter(({ id }) => !wanted.has(id))
    .map((scheduler): ScheduleDifference => {
      const id = scheduler.id.slice(prefix.length);
      return { tenantId, id, what: "only-in-queue", declared: null, actual: describePace(scheduler) };
    });
  return [...missing, ...extra];
}

function describePace({ pattern, everyMs }: Pick<Scheduler, "pattern" | "everyMs"> | QueueSchedule): string {
  return pattern === undefined ? `every ${(everyMs ?? 0) / 60_000} min` : `at ${pattern} UTC`;
}
