/** Collecting one item, depending on its kind: it is marked and renamed into the trash, or saved elsewhere and removed. */
import { join } from "node:path";
import type { BranchFacts, GcDecision, MirrorFacts, WorkspaceFacts } from "../../domain/gc/gc.ts";
import { toCollectedItem, type CollectedItem } from "../../domain/gc/report.ts";
import { shortId } from "../../domain/task/task.ts";
import { shellWord } from "../../domain/text/shell-word.ts";
import {
  markRunCollected,
  deleteGcMark,
  insertGcMark,
  listTasksInUse,
  markGcSwept,
  type GcMark,
} from "../../store/gc.ts";
import type { Fleet } from "../fleet.ts";
import { auditMark } from "./audit.ts";
import { wantedMirrors } from "./mirrors.ts";
import { messageOf } from "../../domain/errors.ts";

/** Never throws: an item that cannot be collected stays where it is and is reported. */
export async function collectItem(fleet: Fleet, verdict: GcDecision, bytes: number): Promise<CollectedItem> {
  try {
    return await collectByKind(fleet, verdict, bytes);
  } catch (error) {
    const why = messageOf(error);
    fleet.log.warn({ event: "gc.refused", path: verdict.item.path, error: why }, "gc skipped an item");
    return notCollected(verdict, why, bytes);
  }
}

function notCollected(verdict: GcDecision, why: string, bytes = 0): CollectedItem {
  return toCollectedItem(verdict, { bytes, outcome: "failed", restore: null, why });
}

async function collectByKind(fleet: Fleet, verdict: GcDecision, bytes: number): Promise<CollectedItem> {
  const { item } = verdict;
  if (item.kind === "branch") return collectBranch(fleet, { ...verdict, item });
  if (item.kind === "workspace" && item.isComplete) return cleanUp(fleet, { ...verdict, item }, bytes);
  return quarantineItem(fleet, verdict, bytes);
}

function newMark(fleet: Fleet, { item, reason }: GcDecision, bytes: number): GcMark {
  const { kind, subject, path } = item;
  const id = fleet.newId();
  const mark = { id, host: fleet.host.id, kind, subject, path, reason, bytes, markedAt: fleet.clock(), sweptAt: null };
  if (item.kind === "branch") {
    const mirror = mirrorPathOf(item);
    const restore = `git --git-dir=${shellWord(mirror)} update-ref refs/heads/${item.subject} ${item.head}`;
    return { ...mark, quarantine: mirror, restore };
  }
  const quarantine = fleet.agents.disk.quarantinePath({ id, kind: item.kind });
  return { ...mark, quarantine, restore: `mv ${shellWord(quarantine)} ${shellWord(path)}` };
}

/** The row is written first: an item in the trash always has a row, and a row without an item means it was never renamed. */
async function quarantineItem(fleet: Fleet, verdict: GcDecision, bytes: number): Promise<CollectedItem> {
  const { item } = verdict;
  if (item.kind === "branch") throw new Error("A branch is not a folder.");
  const mark = newMark(fleet, verdict, bytes);
  if (!(await fleet.store.asSystem((tx) => insertGcMark(tx, mark)))) {
    const why = "an earlier item of the same name is still in quarantine";
    return notCollected(verdict, why, bytes);
  }
  await fleet.faultPoint("gc:marked", item.subject);
  const still = stillCollectable(fleet, verdict);
  let isMoved: boolean;
  try {
    isMoved = await fleet.agents.disk.quarantine({ id: mark.id, kind: item.kind, path: item.path, still });
  } catch (error) {
    await fleet.store.asSystem((tx) => deleteGcMark(tx, mark.id));
    throw error;
  }
  await fleet.faultPoint("gc:renamed", item.subject);
  // The evidence of a run may have been removed already; its row is collected all the same.
  if (!isMoved && item.kind !== "run") {
    await fleet.store.asSystem((tx) => deleteGcMark(tx, mark.id));
    return notCollected(verdict, NOT_COLLECTABLE);
  }
  await fleet.store.asSystem(async (tx) => {
    if (item.kind === "run") await markRunCollected(tx, item.subject, fleet.clock());
    if (!isMoved) await markGcSwept(tx, mark.id, fleet.clock());
    await auditMark(fleet, tx, mark, "gc.put_aside");
  });
  return toCollectedItem(verdict, { bytes, outcome: "put-aside", restore: mark.restore });
}

const NOT_COLLECTABLE = "it is in use again, or was removed";

/** Checks right before the rename whether a new task uses the item. */
function stillCollectable(fleet: Fleet, { item }: GcDecision): () => Promise<boolean> {
  if (item.kind === "mirror") return () => isUnwanted(fleet, item);
  if (item.kind === "workspace") return () => hasNoLiveTask(fleet, item);
  return async () => true;
}

async function isUnwanted(fleet: Fleet, { url, path }: MirrorFacts): Promise<boolean> {
  const found = (await fleet.agents.disk.scan()).mirrors.find((mirror) => mirror.path === path);
  const all = await fleet.store.asSystem((tx) => listTasksInUse(tx, { ids: [], branches: [] }));
  const wanted = await wantedMirrors(fleet, all);
  return found !== undefined && found.checkedOut.size === 0 && found.branches.length === 0 && !wanted(url);
}

async function hasNoLiveTask(fleet: Fleet, { subject }: WorkspaceFacts): Promise<boolean> {
  const all = await fleet.store.asSystem((tx) => listTasksInUse(tx, { ids: [], branches: [] }));
  return !all.some(({ id, live }) => live && shortId(id) === subject);
}

/** The clean-up saves work that exists nowhere else, verifies the copy, and keeps the workspace when in doubt. */
async function cleanUp(fleet: Fleet, verdict: GcDecision<WorkspaceFacts>, bytes: number): Promise<CollectedItem> {
  const found = (await fleet.agents.disk.scan()).workspaces.find(({ path }) => path === verdict.item.path);
  if (!found?.taskId || !(await hasNoLiveTask(fleet, verdict.item))) {
    return notCollected(verdict, NOT_COLLECTABLE);
  }
  const cleaned = await fleet.agents.cleanUp({ taskId: found.taskId, attempt: found.attempt });
  if (cleaned.decision.do === "keep") {
    return notCollected(verdict, cleaned.decision.reason, bytes);
  }
  const restore =
    cleaned.snapshot?.restoreCommand ??
    `git worktree add restored-${verdict.item.subject} # from its branch on the forge`;
  const mark = { ...newMark(fleet, verdict, bytes), quarantine: "", restore, sweptAt: fleet.clock() };
  await fleet.store.asSystem(async (tx) => {
    await insertGcMark(tx, mark);
    await auditMark(fleet, tx, mark, "gc.put_aside");
  });
  return toCollectedItem(verdict, { bytes, outcome: "removed", restore });
}

async function collectBranch(fleet: Fleet, verdict: GcDecision<BranchFacts>): Promise<CollectedItem> {
  const { item, saveFirst = false } = verdict;
  const mark = newMark(fleet, verdict, 0);
  await fleet.store.asSystem((tx) => insertGcMark(tx, mark));
  await fleet.faultPoint("gc:marked", item.subject);
  const branch = { mirrorPath: mirrorPathOf(item), url: item.url, branch: item.subject, head: item.head, saveFirst };
  const { removed, snapshot } = await fleet.agents.disk.removeBranch({ ...branch, taskId: item.taskId ?? mark.id });
  if (!removed) {
    await fleet.store.asSystem((tx) => deleteGcMark(tx, mark.id));
    return notCollected(verdict, "it has newer commits");
  }
  const restore = snapshot?.restoreCommand ?? mark.restore;
  await fleet.store.asSystem(async (tx) => {
    await markGcSwept(tx, mark.id, fleet.clock());
    await auditMark(fleet, tx, { ...mark, restore }, "gc.put_aside");
  });
  return toCollectedItem(verdict, { bytes: 0, outcome: "removed", restore });
}

function mirrorPathOf({ path, subject }: BranchFacts): string {
  return path.slice(0, -join("/refs/heads", subject).length);
}
