/** Gathers what gc decides about: first what lies on this host, then what the rows say, so that nothing new is taken for old. */
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

const MAX_RUNS = 50_000;

export interface GcSurvey {
  readonly facts: readonly GcFacts[];
  readonly found: Leftovers;
}

export async function gatherGcFacts(fleet: Fleet, ask: HostGcRequest): Promise<GcSurvey> {
  const found = await fleet.agents.disk.scan();
  const runs = await runFacts(fleet, ask, found);
  if (!ask.machine) return { facts: runs, found };
  const tasks = await readTasks(fleet, found);
  const branches = await Promise.all(found.mirrors.map((mirror) => branchFacts(fleet, mirror, tasks)));
  const wanted = await wantedMirrors(fleet, tasks);
  return {
    found,
    facts: [
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
    ],
  };
}

/** Rows say which runs there are; folders that no row tells of are only looked for when the machine itself is asked about. */
async function runFacts(fleet: Fleet, ask: HostGcRequest, found: Leftovers): Promise<RunFacts[]> {
  const scope = { tenantId: ask.tenantId ?? undefined, productId: ask.productId ?? undefined };
  const folders = new Map(found.runs.map((folder) => [folder.name, folder]));
  const ids = [...folders.keys()].filter((name) => UUID.test(name));
  const [rows, known] = await fleet.store.asSystem(async (tx) => [
    await listUncollectedRuns(tx, scope, MAX_RUNS),
    ask.machine && !ask.productId ? await listKnownRunIds(tx, ids) : new Set(ids),
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

/** Of two with one branch, the one that is still at work speaks. */
export function indexTasks(all: readonly TaskInUse[]): TaskIndex {
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
    // While its row names it, the host removes it by itself.
    const doubt = task?.doubt ?? (task?.hasWorkspace && !task.live ? "its clean-up is under way" : null);
    const state = taskStateOf(task);
    const isMade = taskId !== null;
    return { kind: "workspace", subject: name, path, task: state, isMade, doubt, changedAt } as const;
  });
}

async function branchFacts(fleet: Fleet, mirror: FoundMirror, tasks: TaskIndex): Promise<BranchFacts[]> {
  const facts: BranchFacts[] = [];
  for (const { name, head } of mirror.branches) {
    const task = tasks.byBranch(name);
    const hasWorkspace = mirror.checkedOut.has(name) || task?.hasWorkspace === true;
    const state = taskStateOf(task);
    // Asking git costs time, and only what may go is worth it.
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

/** A repository that cannot be named now counts as wanted: then every mirror does. */
export async function wantedMirrors(fleet: Fleet, { all }: Pick<TaskIndex, "all">): Promise<(url: string) => boolean> {
  const repositories = new Set(all.filter(({ live }) => live).map(({ repository }) => repository));
  const names = new Set<string>();
  for (const repository of repositories) {
    const named = await fleet.forge.identify(repository).catch(() => undefined);
    if (!named) return () => true;
    names.add(named.repository).add(named.slug).add(repository);
  }
  return (url) =>
    names.has(url) ||
    names.has(
      url
        .split("/")
        .at(-1)
        ?.replace(/\.git$/, "") ?? "",
    );
}
