/** Gathers the facts for gc: first the files of this host, then the rows, so that nothing new is taken for a leftover. */
import { join } from "node:path";
import type { FoundMirror, Leftovers } from "../../agents/cleanup/leftovers.ts";
import type { BranchFacts, GcFacts, MirrorFacts, RunFacts, TaskLiveness } from "../../domain/gc/gc.ts";
import { shortId } from "../../domain/task/task.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import { UUID } from "../../domain/text/uuid.ts";
import { evidenceDir } from "../../runs/evidence.ts";
import {
  listKnownRunIds,
  listUncollectedRuns,
  listTasksInUse,
  type HostGcRequest,
  type TaskInUse,
} from "../../store/gc.ts";
import type { Fleet } from "../fleet.ts";
import { wantedMirrors } from "./mirrors.ts";

const MAX_RUNS = 50_000;

export async function gatherGcFacts(fleet: Fleet, request: HostGcRequest): Promise<readonly GcFacts[]> {
  const found = await fleet.agents.disk.scan();
  const runs = await runFacts(fleet, request, found);
  if (!request.machine) return runs;
  const tasks = await readTasks(fleet, found);
  const branches = await Promise.all(found.mirrors.map((mirror) => branchFacts(fleet, mirror, tasks)));
  const wanted = await wantedMirrors(fleet, tasks.all);
  return [
    ...runs,
    ...workspaceFacts(found, tasks),
    ...branches.flat(),
    ...found.snapshots.map(({ name, path, changedAt, taskId }) => {
      return { kind: "snapshot", subject: name, path, takenAt: changedAt, task: tasks.stateOf(taskId) } as const;
    }),
    ...found.mirrors.map((mirror) => mirrorFacts({ ...mirror, wanted: wanted(mirror.url) })),
    ...found.sockets.map(({ name, path, answers }) => ({ kind: "socket", subject: name, path, answers }) as const),
    ...found.attempts
      .filter(({ name }) => UUID.test(name))
      .map(({ name, path, changedAt }) => {
        return { kind: "attempt", subject: name, path, changedAt, task: tasks.stateOf(name) } as const;
      }),
  ];
}

/** Runs come from rows; folders without a row are only searched for when the machine itself is collected. */
async function runFacts(fleet: Fleet, request: HostGcRequest, found: Leftovers): Promise<RunFacts[]> {
  const scope = { tenantId: request.tenantId ?? undefined, productId: request.productId ?? undefined };
  const folders = new Map(found.runs.map((folder) => [folder.name, folder]));
  const ids = [...folders.keys()].filter((name) => UUID.test(name));
  const [rows, known] = await fleet.store.asSystem(async (tx) => [
    await listUncollectedRuns(tx, scope, MAX_RUNS),
    request.machine && !request.productId ? await listKnownRunIds(tx, ids) : new Set(ids),
  ]);
  const recorded = rows.map((run): RunFacts => {
    const { id, tenantId, productId, intent, status, startedAt, pinned, release, host } = run;
    const path = folders.get(id)?.path ?? evidenceDir(fleet.home, productId, id);
    const details = { tenantId, productId, intent, status, startedAt, host };
    return Object.assign(details, { kind: "run", subject: id, path, pinned, release, known: true } as const);
  });
  const unrecorded = ids
    .filter((id) => !known.has(id))
    .flatMap((id): RunFacts[] => {
      const folder = folders.get(id);
      return folder ? [unrecordedRun(folder)] : [];
    });
  return [...recorded, ...unrecorded];
}

function unrecordedRun({ name, path, productId, changedAt }: Leftovers["runs"][number]): RunFacts {
  const facts = { kind: "run", subject: name, path, tenantId: SYSTEM_TENANT, productId, intent: "validate" } as const;
  const state = { status: "cancelled", startedAt: changedAt, pinned: false, release: null } as const;
  return { ...facts, ...state, host: null, known: false };
}

interface TaskIndex {
  readonly all: readonly TaskInUse[];
  readonly stateOf: (taskId: string | null) => TaskLiveness;
  readonly byShortId: (name: string) => TaskInUse | undefined;
  readonly byBranch: (branch: string) => TaskInUse | undefined;
}

async function readTasks(fleet: Fleet, found: Leftovers): Promise<TaskIndex> {
  const ids = [...found.workspaces, ...found.snapshots].flatMap(({ taskId }) => taskId ?? []);
  const named = [...ids, ...found.attempts.map(({ name }) => name)].filter((id) => UUID.test(id));
  const branches = found.mirrors.flatMap((mirror) => mirror.branches.map(({ name }) => name));
  const all = await fleet.store.asSystem((tx) => listTasksInUse(tx, { ids: named, branches }));
  return indexTasks(all);
}

/** Of two tasks with the same branch, the live one counts. */
function indexTasks(all: readonly TaskInUse[]): TaskIndex {
  const ordered = all.toSorted((a, b) => Number(a.live) - Number(b.live));
  const byId = new Map(ordered.map((task) => [task.id, task]));
  const byShortId = new Map(ordered.map((task) => [shortId(task.id), task]));
  const byBranch = new Map(ordered.map((task) => [task.branch, task]));
  return {
    all,
    stateOf: (taskId) => taskStateOf(taskId === null ? undefined : byId.get(taskId)),
    byShortId: (name) => byShortId.get(name),
    byBranch: (branch) => byBranch.get(branch),
  };
}

function taskStateOf(task: TaskInUse | undefined): TaskLiveness {
  if (!task) return "none";
  return task.live ? "live" : "over";
}

function workspaceFacts({ workspaces }: Leftovers, tasks: TaskIndex): GcFacts[] {
  return workspaces.map(({ name, path, taskId, changedAt }) => {
    const task = tasks.byShortId(name);
    // While the row of an ended task names a workspace, the host's own clean-up removes it.
    const keptReason = task?.doubt ?? (task?.hasWorkspace && !task.live ? "its clean-up is in progress" : null);
    const state = taskStateOf(task);
    const isComplete = taskId !== null;
    return { kind: "workspace", subject: name, path, task: state, isComplete, keptReason, changedAt } as const;
  });
}

async function branchFacts(fleet: Fleet, mirror: FoundMirror, tasks: TaskIndex): Promise<BranchFacts[]> {
  const facts: BranchFacts[] = [];
  for (const { name, head } of mirror.branches) {
    const task = tasks.byBranch(name);
    const hasWorkspace = mirror.checkedOut.has(name) || task?.hasWorkspace === true;
    const state = taskStateOf(task);
    // Running git takes time, so it runs only for branches that may be collected.
    const isInUse = state === "live" || hasWorkspace;
    const reach = isInUse
      ? { merged: false, onForge: false }
      : await fleet.agents.disk.checkReachability(mirror, head, task?.baseBranch);
    const isOurs = /^fleet\/[0-9a-f]{8}-/.test(name);
    const path = join(mirror.path, "refs", "heads", name);
    const about = { taskId: task?.id ?? null, url: mirror.url, head, isOurs, hasWorkspace };
    facts.push({ kind: "branch", subject: name, path, task: state, ...about, ...reach });
  }
  return facts;
}

function mirrorFacts({
  name,
  path,
  url,
  usedAt,
  branches,
  checkedOut,
  wanted,
}: FoundMirror & { readonly wanted: boolean }): MirrorFacts {
  const counts = { branches: branches.length, workspaces: checkedOut.size };
  return { kind: "mirror", subject: name, path, usedAt, url, wanted, ...counts };
}
