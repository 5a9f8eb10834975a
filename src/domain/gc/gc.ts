/** What gc takes away and what stays: one decision for the dry run and the real one. Facts in, verdicts out; nothing is touched here. */
import { z } from "zod";

export const GcKind = z.enum(["run", "workspace", "branch", "snapshot", "mirror", "socket", "attempt"]);
export type GcKind = z.infer<typeof GcKind>;

/** Whether somebody still works on the task a thing belongs to; `none`: no task is known. */
export type TaskStanding = "live" | "over" | "none";

interface Item {
  /** What it is called: a run's id, a branch, a folder's name. */
  readonly subject: string;
  readonly path: string;
}

export interface RunFacts extends Item {
  readonly kind: "run";
  readonly tenantId: string;
  readonly productId: string;
  readonly intent: string;
  readonly status: "in_progress" | "success" | "failed" | "cancelled";
  readonly startedAt: Date;
  readonly pinned: boolean;
  readonly release: string | null;
  /** Whose disk holds it; null when nobody's does. */
  readonly host: string | null;
  /** False: a folder that no row tells of. */
  readonly known: boolean;
}

export interface WorkspaceFacts extends Item {
  readonly kind: "workspace";
  readonly task: TaskStanding;
  /** Made whole once: there may be work in it, which the clean-up saves first. Without, no agent was ever in it. */
  readonly isMade: boolean;
  /** Why a clean-up left it for a person. */
  readonly doubt: string | null;
  readonly changedAt: Date;
}

export interface BranchFacts extends Item {
  readonly kind: "branch";
  readonly task: TaskStanding;
  readonly hasWorkspace: boolean;
  readonly merged: boolean;
  readonly onForge: boolean;
  /** Named as Fleetwright names them. */
  readonly isOurs: boolean;
  readonly head: string;
  readonly taskId: string | null;
  /** Of the repository it is a branch of. */
  readonly url: string;
}

export interface SnapshotFacts extends Item {
  readonly kind: "snapshot";
  readonly task: TaskStanding;
  readonly takenAt: Date;
}

export interface MirrorFacts extends Item {
  readonly kind: "mirror";
  readonly usedAt: Date;
  readonly branches: number;
  readonly workspaces: number;
  readonly url: string;
  /** A live task of any host may come for it. */
  readonly wanted: boolean;
}

export interface SocketFacts extends Item {
  readonly kind: "socket";
  readonly answers: boolean;
}

export interface AttemptFacts extends Item {
  readonly kind: "attempt";
  readonly task: TaskStanding;
  readonly changedAt: Date;
}

export type GcFacts =
  RunFacts | WorkspaceFacts | BranchFacts | SnapshotFacts | MirrorFacts | SocketFacts | AttemptFacts;

export interface GcPolicy {
  readonly keepRuns: number;
  readonly keepSnapshotsDays: number;
  readonly keepMirrorsDays: number;
  readonly keepRowsDays: number;
  /** Whose files these are. */
  readonly host: string;
}

export interface GcVerdict<Facts extends GcFacts = GcFacts> {
  readonly item: Facts;
  readonly goes: boolean;
  readonly reason: string;
  /** Only after its commits were saved in a bundle. */
  readonly saveFirst?: boolean;
}

const DAY_MS = 86_400_000;
/** What is new may be somebody's who has not written it down yet. */
const SETTLED_MS = DAY_MS;

/** In the order of the facts. Each thing is judged once, by the first rule that speaks. */
export function decideGc(facts: readonly GcFacts[], policy: GcPolicy, now: Date): GcVerdict[] {
  const protectedRuns = protect(
    facts.filter((item) => item.kind === "run"),
    policy,
  );
  return facts.map((item) => {
    const stays = item.kind === "run" ? protectedRuns.get(item.subject) : undefined;
    return stays === undefined ? judge(item, policy, now) : stay(item, stays);
  });
}

function judge(item: GcFacts, policy: GcPolicy, now: Date): GcVerdict {
  if (item.kind === "run") return judgeRun(item, policy, now);
  if (item.kind === "workspace") return judgeWorkspace(item, now);
  if (item.kind === "branch") return judgeBranch(item);
  if (item.kind === "snapshot") return judgeSnapshot(item, policy, now);
  if (item.kind === "mirror") return judgeMirror(item, policy, now);
  if (item.kind === "attempt") return judgeAttempt(item, policy, now);
  return item.answers ? stay(item, "its server answers") : go(item, "no server answers behind it");
}

/** Run ids that stay whatever their place, with the reason; then the newest of each product. */
function protect(runs: readonly RunFacts[], { keepRuns }: GcPolicy): Map<string, string> {
  const stays = new Map<string, string>();
  const places = new Map<string, number>();
  const lastSuccess = new Set<string>();
  const newestFirst = runs
    .filter(({ known }) => known)
    .toSorted((a, b) => b.startedAt.getTime() - a.startedAt.getTime() || (a.subject < b.subject ? 1 : -1));
  for (const run of newestFirst) {
    const product = `${run.tenantId}/${run.productId}`;
    const place = (places.get(product) ?? 0) + 1;
    places.set(product, place);
    const success = `${product}/${run.intent}`;
    const isLastSuccess = run.status === "success" && !lastSuccess.has(success);
    if (isLastSuccess) lastSuccess.add(success);
    const reason =
      protectionOf(run, isLastSuccess) ?? (place <= keepRuns ? `one of the newest ${keepRuns}` : undefined);
    if (reason !== undefined) stays.set(run.subject, reason);
  }
  return stays;
}

function protectionOf(run: RunFacts, isLastSuccess: boolean): string | undefined {
  if (run.status === "in_progress") return "it is running";
  if (run.pinned) return "it is pinned";
  if (run.release !== null) return `it belongs to release ${run.release}`;
  return isLastSuccess ? `the last success of ${run.intent}` : undefined;
}

function judgeRun(run: RunFacts, { keepRuns, host }: GcPolicy, now: Date): GcVerdict {
  if (!run.known) {
    return isSettled(run.startedAt, now)
      ? go(run, "no row tells of it")
      : stay(run, "it is new, and no row tells of it yet");
  }
  if (run.host !== null && run.host !== host) return stay(run, `its files are on ${run.host}`);
  return go(run, `older than the newest ${keepRuns} of ${run.productId}`);
}

function judgeWorkspace(item: WorkspaceFacts, now: Date): GcVerdict {
  if (item.task === "live") return stay(item, "its task is not over");
  if (item.doubt !== null) return stay(item, `kept for a person: ${item.doubt}`);
  if (item.isMade) return go(item, item.task === "over" ? "its task is over" : "there is no such task");
  if (!isSettled(item.changedAt, now)) return stay(item, "it is new, and may be under way");
  return go(item, "it was never finished, and no agent was in it");
}

function judgeBranch(item: BranchFacts): GcVerdict {
  if (item.task === "live") return stay(item, "its task is not over");
  if (item.hasWorkspace) return stay(item, "a working copy is on it");
  if (!item.isOurs && item.task === "none") return stay(item, "it is nobody's that is known");
  if (item.merged) return go(item, "it is merged");
  if (item.onForge) return go(item, "the forge has its commits");
  return { ...go(item, "its task is over; its commits are saved first"), saveFirst: true };
}

function judgeSnapshot(item: SnapshotFacts, { keepSnapshotsDays }: GcPolicy, now: Date): GcVerdict {
  if (item.task === "live") return stay(item, "its task is not over");
  return isOlder(item.takenAt, keepSnapshotsDays, now)
    ? go(item, `older than ${keepSnapshotsDays} days`)
    : stay(item, `not ${keepSnapshotsDays} days old yet`);
}

function judgeMirror(item: MirrorFacts, { keepMirrorsDays }: GcPolicy, now: Date): GcVerdict {
  if (item.wanted) return stay(item, "a task that is not over may come for it");
  if (item.workspaces > 0) return stay(item, "working copies hang on it");
  if (item.branches > 0) return stay(item, "it holds branches of agents");
  return isOlder(item.usedAt, keepMirrorsDays, now)
    ? go(item, `not used for ${keepMirrorsDays} days`)
    : stay(item, `used within ${keepMirrorsDays} days`);
}

function judgeAttempt(item: AttemptFacts, { keepRowsDays }: GcPolicy, now: Date): GcVerdict {
  if (item.task === "live") return stay(item, "its task is not over");
  const days = item.task === "none" ? 1 : keepRowsDays;
  return isOlder(item.changedAt, days, now)
    ? go(item, item.task === "none" ? "there is no such task" : `its task ended ${keepRowsDays} days ago`)
    : stay(item, `its task ended within ${days} ${days === 1 ? "day" : "days"}`);
}

function isSettled(since: Date, now: Date): boolean {
  return now.getTime() - since.getTime() >= SETTLED_MS;
}

function isOlder(since: Date, days: number, now: Date): boolean {
  return now.getTime() - since.getTime() >= days * DAY_MS;
}

function stay<Facts extends GcFacts>(item: Facts, reason: string): GcVerdict<Facts> {
  return { item, goes: false, reason };
}

function go<Facts extends GcFacts>(item: Facts, reason: string): GcVerdict<Facts> {
  return { item, goes: true, reason };
}
