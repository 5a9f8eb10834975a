/** Taking one thing away, in the way of its kind: marked, then renamed; or saved elsewhere, then removed. */
import { join } from "node:path";
import type { BranchFacts, GcVerdict, MirrorFacts, WorkspaceFacts } from "../../domain/gc/gc.ts";
import { goneOf, type Gone } from "../../domain/gc/report.ts";
import { shellWord } from "../../domain/text/shell-word.ts";
import { collectRun, dropMark, insertMark, listTasksInUse, markSwept, type GcMark } from "../../store/gc.ts";
import { WORKER } from "../../store/store.ts";
import type { Fleet } from "../fleet.ts";
import { tasksOf, wantedMirrors } from "./facts.ts";
import { note } from "./marks.ts";

/** Never throws: what could not be taken away is said, and stays. */
export async function takeAway(fleet: Fleet, verdict: GcVerdict, bytes: number): Promise<Gone> {
  try {
    return await take(fleet, verdict, bytes);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    fleet.log.warn({ event: "gc.refused", path: verdict.item.path, error: why }, "gc leaves something where it is");
    return goneOf(verdict, { bytes, outcome: "failed", restore: null, why });
  }
}

async function take(fleet: Fleet, verdict: GcVerdict, bytes: number): Promise<Gone> {
  const { item } = verdict;
  if (item.kind === "branch") return takeBranch(fleet, { ...verdict, item });
  if (item.kind === "workspace" && item.isMade) return cleanUp(fleet, { ...verdict, item }, bytes);
  return putAside(fleet, verdict, bytes);
}

function markOf(fleet: Fleet, { item, reason }: GcVerdict, bytes: number): GcMark {
  const { kind, subject, path } = item;
  const id = fleet.newId();
  const mark = { id, host: fleet.host.id, kind, subject, path, reason, bytes, markedAt: fleet.clock(), sweptAt: null };
  if (item.kind === "branch") {
    const mirror = mirrorPathOf(item);
    const restore = `git --git-dir=${shellWord(mirror)} update-ref refs/heads/${item.subject} ${item.head}`;
    return { ...mark, quarantine: mirror, restore };
  }
  const quarantine = fleet.agents.disk.quarantineOf({ id, kind: item.kind });
  return { ...mark, quarantine, restore: `mv ${shellWord(quarantine)} ${shellWord(path)}` };
}

/** The row first: what is in the trash is always known, and what is known and not there was never moved. */
async function putAside(fleet: Fleet, verdict: GcVerdict, bytes: number): Promise<Gone> {
  const { item } = verdict;
  if (item.kind === "branch") throw new Error("A branch is no folder.");
  const mark = markOf(fleet, verdict, bytes);
  if (!(await fleet.store.transaction(WORKER, (tx) => insertMark(tx, mark)))) {
    const why = "what was put aside before under the same name waits for its end";
    return goneOf(verdict, { bytes, outcome: "failed", restore: null, why });
  }
  await fleet.faultPoint("gc:marked", item.subject);
  const still = stillGoes(fleet, verdict);
  let isMoved: boolean;
  try {
    isMoved = await fleet.agents.disk.putAside({ id: mark.id, kind: item.kind, path: item.path, still });
  } catch (error) {
    await fleet.store.transaction(WORKER, (tx) => dropMark(tx, mark.id));
    throw error;
  }
  await fleet.faultPoint("gc:renamed", item.subject);
  // The evidence of a run may be gone already; its row is collected all the same.
  if (!isMoved && item.kind !== "run") {
    await fleet.store.transaction(WORKER, (tx) => dropMark(tx, mark.id));
    return goneOf(verdict, { bytes: 0, outcome: "failed", restore: null, why: "it is in use again, or gone" });
  }
  await fleet.store.transaction(WORKER, async (tx) => {
    if (item.kind === "run") await collectRun(tx, item.subject, fleet.clock());
    if (!isMoved) await markSwept(tx, mark.id, fleet.clock());
    await note(fleet, tx, mark, "gc.put_aside");
  });
  return goneOf(verdict, { bytes, outcome: "put-aside", restore: mark.restore });
}

/** Looked at once more where a task may have come meanwhile, right before the rename. */
function stillGoes(fleet: Fleet, { item }: GcVerdict): () => Promise<boolean> {
  if (item.kind === "mirror") return () => isUnwanted(fleet, item);
  if (item.kind === "workspace") return () => hasNoLiveTask(fleet, item);
  return async () => true;
}

async function isUnwanted(fleet: Fleet, { url, path }: MirrorFacts): Promise<boolean> {
  const found = (await fleet.agents.disk.look()).mirrors.find((mirror) => mirror.path === path);
  const all = await fleet.store.transaction(WORKER, (tx) => listTasksInUse(tx, { ids: [], branches: [] }));
  const wanted = await wantedMirrors(fleet, { all });
  return found !== undefined && found.checkedOut.size === 0 && found.branches.length === 0 && !wanted(url);
}

async function hasNoLiveTask(fleet: Fleet, { subject }: WorkspaceFacts): Promise<boolean> {
  const all = await fleet.store.transaction(WORKER, (tx) => listTasksInUse(tx, { ids: [], branches: [] }));
  return tasksOf(all).byShortId(subject)?.live !== true;
}

/** The clean-up saves what nobody else has, verifies it, and keeps the working copy when in doubt. */
async function cleanUp(fleet: Fleet, verdict: GcVerdict<WorkspaceFacts>, bytes: number): Promise<Gone> {
  const found = (await fleet.agents.disk.look()).workspaces.find(({ path }) => path === verdict.item.path);
  if (!found?.taskId || !(await hasNoLiveTask(fleet, verdict.item))) {
    return goneOf(verdict, { bytes: 0, outcome: "failed", restore: null, why: "it is in use again, or gone" });
  }
  const cleaned = await fleet.agents.cleanUp({ taskId: found.taskId, attempt: found.attempt });
  if (cleaned.decision.do === "keep") {
    return goneOf(verdict, { bytes, outcome: "failed", restore: null, why: cleaned.decision.reason });
  }
  const restore =
    cleaned.snapshot?.restoreCommand ??
    `git worktree add restored-${verdict.item.subject} # from its branch on the forge`;
  const mark = { ...markOf(fleet, verdict, bytes), quarantine: "", restore, sweptAt: fleet.clock() };
  await fleet.store.transaction(WORKER, async (tx) => {
    await insertMark(tx, mark);
    await note(fleet, tx, mark, "gc.put_aside");
  });
  return goneOf(verdict, { bytes, outcome: "removed", restore });
}

async function takeBranch(fleet: Fleet, verdict: GcVerdict<BranchFacts>): Promise<Gone> {
  const { item, saveFirst = false } = verdict;
  const mark = markOf(fleet, verdict, 0);
  await fleet.store.transaction(WORKER, (tx) => insertMark(tx, mark));
  await fleet.faultPoint("gc:marked", item.subject);
  const ask = { mirrorPath: mirrorPathOf(item), url: item.url, branch: item.subject, head: item.head, saveFirst };
  const { removed, snapshot } = await fleet.agents.disk.removeBranch({ ...ask, taskId: item.taskId ?? mark.id });
  if (!removed) {
    await fleet.store.transaction(WORKER, (tx) => dropMark(tx, mark.id));
    return goneOf(verdict, { bytes: 0, outcome: "failed", restore: null, why: "it moved meanwhile" });
  }
  const restore = snapshot?.restoreCommand ?? mark.restore;
  await fleet.store.transaction(WORKER, async (tx) => {
    await markSwept(tx, mark.id, fleet.clock());
    await note(fleet, tx, { ...mark, restore }, "gc.put_aside");
  });
  return goneOf(verdict, { bytes: 0, outcome: "removed", restore });
}

function mirrorPathOf({ path, subject }: BranchFacts): string {
  return path.slice(0, -join("/refs/heads", subject).length);
}
