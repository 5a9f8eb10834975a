/** What lies in the trash: put right after a crash or after somebody took a thing back, and deleted when its grace is over. */
import { stat } from "node:fs/promises";
import type { HostGcReport } from "../../domain/gc/report.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import {
  restoreRun,
  markRunCollected,
  deleteCollectedArtifacts,
  deleteGcMark,
  listKnownMarkIds,
  listOpenGcMarks,
  markGcSwept,
  type HostGcRequest,
  type GcMark,
} from "../../store/gc.ts";
import { auditOperator } from "../../store/operators.ts";
import { findRun } from "../../store/runs.ts";
import type { Tx } from "../../store/sql.ts";
import { ensureSystemOperator } from "../system-operator.ts";
import type { Fleet } from "../fleet.ts";

const MINUTE_MS = 60_000;
const MAX_SWEPT = 500;

/** Only while this process alone collects on this host: otherwise a mark may be another's that is about to rename. */
export async function repairMarks(fleet: Fleet): Promise<void> {
  const marks = await fleet.store.asSystem((tx) => listOpenGcMarks(tx, fleet.host.id));
  for (const mark of marks) {
    if (mark.kind === "branch") continue;
    if (await exists(mark.quarantine)) {
      await finishQuarantine(fleet, mark);
      continue;
    }
    const isBack = await exists(mark.path);
    await fleet.store.asSystem(async (tx) => {
      // Nothing in the trash, and the thing where it was: never renamed, or taken back. A run that was collected was taken back.
      if (!isBack) return markGcSwept(tx, mark.id, fleet.clock());
      await deleteGcMark(tx, mark.id);
      if (mark.kind === "run" && (await restoreRun(tx, mark.subject)))
        await auditMark(fleet, tx, mark, "gc.taken_back");
    });
  }
  await dropBranchMarks(fleet, marks);
}

/** It was renamed, and whoever did it died before the run's row said so. */
async function finishQuarantine(fleet: Fleet, mark: GcMark): Promise<void> {
  if (mark.kind !== "run") return;
  await fleet.store.asSystem(async (tx) => {
    const run = await findRun(tx, mark.subject);
    if (!run || run.collectedAt) return;
    await markRunCollected(tx, run.id, fleet.clock());
    await auditMark(fleet, tx, mark, "gc.put_aside");
  });
}

/** A branch is removed at once: its mark only waits for being told. */
async function dropBranchMarks(fleet: Fleet, marks: readonly GcMark[]): Promise<void> {
  for (const { id } of marks.filter(({ kind }) => kind === "branch")) {
    await fleet.store.asSystem((tx) => deleteGcMark(tx, id));
  }
}

/** Those whose grace is over, and that are within what was asked. */
export async function listDueMarks(fleet: Fleet, ask: HostGcRequest): Promise<GcMark[]> {
  const before = fleet.clock().getTime() - fleet.settings.gc.graceMinutes * MINUTE_MS;
  return fleet.store.asSystem(async (tx) => {
    const marks = await listOpenGcMarks(tx, fleet.host.id);
    const due: GcMark[] = [];
    for (const mark of marks.filter(({ markedAt, kind }) => markedAt.getTime() <= before && kind !== "branch")) {
      if (due.length < MAX_SWEPT && (await isInScope(tx, ask, mark))) due.push(mark);
    }
    return due;
  });
}

async function isInScope(tx: Tx, { machine, tenantId, productId }: HostGcRequest, mark: GcMark): Promise<boolean> {
  if (mark.kind !== "run") return machine;
  if (tenantId === null && productId === null) return true;
  const run = await findRun(tx, mark.subject);
  if (!run) return machine;
  return (tenantId === null || run.tenantId === tenantId) && (productId === null || run.productId === productId);
}

export async function sweepMarks(fleet: Fleet, ask: HostGcRequest): Promise<HostGcReport["swept"]> {
  const swept: HostGcReport["swept"] = [];
  for (const mark of await listDueMarks(fleet, ask)) {
    try {
      await sweep(fleet, mark);
      swept.push({ kind: mark.kind, subject: mark.subject, path: mark.path, bytes: mark.bytes });
    } catch (error) {
      const facts = { event: "gc.stuck", path: mark.quarantine, error: String(error) };
      fleet.log.warn(facts, "what was put aside could not be deleted, and is tried again");
    }
  }
  if (ask.machine) await sweepUnmarked(fleet);
  return swept;
}

async function sweep(fleet: Fleet, mark: GcMark): Promise<void> {
  if (mark.kind === "branch") return;
  await fleet.agents.disk.deleteQuarantined({ id: mark.id, kind: mark.kind });
  await fleet.faultPoint("gc:deleted", mark.subject);
  await fleet.store.asSystem(async (tx) => {
    await markGcSwept(tx, mark.id, fleet.clock());
    if (mark.kind === "run") await deleteCollectedArtifacts(tx, mark.subject);
    await auditMark(fleet, tx, mark, "gc.deleted");
  });
}

/** In the trash without a row: the row was lost. Its grace counts from the rename. */
async function sweepUnmarked(fleet: Fleet): Promise<void> {
  const before = fleet.clock().getTime() - fleet.settings.gc.graceMinutes * MINUTE_MS;
  const old = (await fleet.agents.disk.listQuarantined()).filter(({ since }) => since.getTime() <= before);
  const ids = old.map(({ id }) => id);
  const known = await fleet.store.asSystem((tx) => listKnownMarkIds(tx, ids));
  for (const { id, kind } of old) if (!known.has(id)) await fleet.agents.disk.deleteQuarantined({ id, kind });
}

/** In the chain of the run's house operator, or of the house. */
export async function auditMark(fleet: Fleet, tx: Tx, mark: GcMark, action: string): Promise<void> {
  const run = mark.kind === "run" ? await findRun(tx, mark.subject) : undefined;
  const { id: operatorId } = await ensureSystemOperator(fleet, run?.tenantId ?? SYSTEM_TENANT);
  const { kind, subject, path, reason, restore, bytes } = mark;
  const detail = { kind, subject, path, reason, restore: action === "gc.put_aside" ? restore : null, bytes };
  await auditOperator(tx, { operatorId, actor: fleet.worker, action, detail: { ...detail, host: fleet.host.id } });
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
