/** Items in the trash: their rows are repaired after a crash or a restore, and they are deleted after the grace period. */
import { stat } from "node:fs/promises";
import type { HostGcReport } from "../../domain/gc/report.ts";
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
import { findRun } from "../../store/runs.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import { auditMark } from "./audit.ts";

const MINUTE_MS = 60_000;
const MAX_SWEPT = 500;

/** Requires the gc lock of this host: otherwise a mark may belong to another process that is about to rename the item. */
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
      // The item is at its old path, not in the trash: it was never renamed, or a user restored it. A collected run was restored.
      if (!isBack) return markGcSwept(tx, mark.id, fleet.clock());
      await deleteGcMark(tx, mark.id);
      if (mark.kind === "run" && (await restoreRun(tx, mark.subject)))
        await auditMark(fleet, tx, mark, "gc.taken_back");
    });
  }
  await dropBranchMarks(fleet, marks);
}

/** The folder was renamed, but the process died before it updated the row of the run. */
async function finishQuarantine(fleet: Fleet, mark: GcMark): Promise<void> {
  if (mark.kind !== "run") return;
  await fleet.store.asSystem(async (tx) => {
    const run = await findRun(tx, mark.subject);
    if (!run || run.collectedAt) return;
    await markRunCollected(tx, run.id, fleet.clock());
    await auditMark(fleet, tx, mark, "gc.put_aside");
  });
}

/** A branch is removed at once, so an open mark of one has no item in the trash. */
async function dropBranchMarks(fleet: Fleet, marks: readonly GcMark[]): Promise<void> {
  for (const { id } of marks.filter(({ kind }) => kind === "branch")) {
    await fleet.store.asSystem((tx) => deleteGcMark(tx, id));
  }
}

/** Marks whose grace period is over, within the scope of the request. */
export async function listDueMarks(fleet: Fleet, request: HostGcRequest): Promise<GcMark[]> {
  const before = fleet.clock().getTime() - fleet.settings.gc.graceMinutes * MINUTE_MS;
  return fleet.store.asSystem(async (tx) => {
    const marks = await listOpenGcMarks(tx, fleet.host.id);
    const due: GcMark[] = [];
    for (const mark of marks.filter(({ markedAt, kind }) => markedAt.getTime() <= before && kind !== "branch")) {
      if (due.length < MAX_SWEPT && (await isInScope(tx, request, mark))) due.push(mark);
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

export async function sweepMarks(fleet: Fleet, request: HostGcRequest): Promise<HostGcReport["swept"]> {
  const swept: HostGcReport["swept"] = [];
  for (const mark of await listDueMarks(fleet, request)) {
    try {
      await sweep(fleet, mark);
      swept.push({ kind: mark.kind, subject: mark.subject, path: mark.path, bytes: mark.bytes });
    } catch (error) {
      const facts = { event: "gc.stuck", path: mark.quarantine, error: String(error) };
      fleet.log.warn(facts, "quarantined item could not be deleted, retrying later");
    }
  }
  if (request.machine) await sweepUnmarked(fleet);
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

/** Deletes items in the trash whose row was lost; their grace period counts from the rename. */
async function sweepUnmarked(fleet: Fleet): Promise<void> {
  const before = fleet.clock().getTime() - fleet.settings.gc.graceMinutes * MINUTE_MS;
  const old = (await fleet.agents.disk.listQuarantined()).filter(({ since }) => since.getTime() <= before);
  const ids = old.map(({ id }) => id);
  const known = await fleet.store.asSystem((tx) => listKnownMarkIds(tx, ids));
  for (const { id, kind } of old) if (!known.has(id)) await fleet.agents.disk.deleteQuarantined({ id, kind });
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
