/** What gc takes away and what stays: one decision for the dry run and the real one. Facts in, verdicts out; nothing is touched here. */
import { z } from "zod";

export const GcKind = z.enum(["run", "workspace", "branch", "snapshot", "mirror", "socket", "attempt"]);
export type GcKind = z.infer<typeof GcKind>;

/** Whether somebody still works on the task a thing belongs to; `none`: no task is known. */
export type TaskLiveness = "live" | "over" | "none";

interface GcItem {
  /** What it is called: a run's id, a branch, a folder's name. */
  readonly subject: string;
  readonly path: string;
}

export interface RunFacts extends GcItem {
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

export interface WorkspaceFacts extends GcItem {
  readonly kind: "workspace";
  readonly task: TaskLiveness;
  /** Made whole once: there may be work in it, which the clean-up saves first. Without, no agent was ever in it. */
  readonly isMade: boolean;
  /** Why a clean-up left it for a person. */
  readonly doubt: string | null;
  readonly changedAt: Date;
}

export interface BranchFacts extends GcItem {
  readonly kind: "branch";
  readonly task: TaskLiveness;
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

export interface SnapshotFacts extends GcItem {
  readonly kind: "snapshot";
  readonly task: TaskLiveness;
  readonly takenAt: Date;
}

export interface MirrorFacts extends GcItem {
  readonly kind: "mirror";
  readonly usedAt: Date;
  readonly branches: number;
  readonly workspaces: number;
  readonly url: string;
  /** A live task of any host may come for it. */
  readonly wanted: boolean;
}

export interface SocketFacts extends GcItem {
  readonly kind: "socket";
  readonly answers: boolean;
}

export interface AttemptFacts extends GcItem {
  readonly kind: "attempt";
  readonly task: TaskLiveness;
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

export interface GcDecision<Facts extends GcFacts = GcFacts> {
  readonly item: Facts;
  readonly collect: boolean;
  readonly reason: string;
  /** Only after its commits were saved in a bundle. */
  readonly saveFirst?: boolean;
}

const DAY_MS = 86_400_000;
/** What is new may be somebody's who has not written it down yet. */
const SETTLED_MS = DAY_MS;

/** In the order of the facts. Each thing is judged once, by the first rule that speaks. */
export function decideGc(facts: readonly GcFacts[], policy: GcPolicy, now: Date): GcDecision[] {
  const protectedRuns = findProtectedRuns(
    facts.filter((item) => item.kind === "run"),
    policy,
  );
  return facts.map((item) => {
    const protection = item.kind === "run" ? protectedRuns.get(item.subject) : undefined;
    return protection === undefined ? evaluateItem(item, policy, now) : retain(item, protection);
  });
}

function evaluateItem(item: GcFacts, policy: GcPolicy, now: Date): GcDecision {
  if (item.kind === "run") return evaluateRun(item, policy, now);
  if (item.kind === "workspace") return evaluateWorkspace(item, now);
  if (item.kind === "branch") return evaluateBranch(item);
  if (item.kind === "snapshot") return evaluateSnapshot(item, policy, now);
  if (item.kind === "mirror") return evaluateMirror(item, policy, now);
  if (item.kind === "attempt") return evaluateAttempt(item, policy, now);
  return item.answers ? retain(item, "its server answers") : collect(item, "no server answers behind it");
}

/** Run ids that stay whatever their place, with the reason; then the newest of each product. */
function findProtectedRuns(runs: readonly RunFacts[], { keepRuns }: GcPolicy): Map<string, string> {
  const reasons = new Map<string, string>();
  const ranks = new Map<string, number>();
  const lastSuccess = new Set<string>();
  const newestFirst = runs
    .filter(({ known }) => known)
    .toSorted((a, b) => b.startedAt.getTime() - a.startedAt.getTime() || (a.subject < b.subject ? 1 : -1));
  for (const run of newestFirst) {
    const product = `${run.tenantId}/${run.productId}`;
    const rank = (ranks.get(product) ?? 0) + 1;
    ranks.set(product, rank);
    const success = `${product}/${run.intent}`;
    const isLastSuccess = run.status === "success" && !lastSuccess.has(success);
    if (isLastSuccess) lastSuccess.add(success);
    const reason =
      protectionReason(run, { isLastSuccess }) ?? (rank <= keepRuns ? `one of the newest ${keepRuns}` : undefined);
    if (reason !== undefined) reasons.set(run.subject, reason);
  }
  return reasons;
}

function protectionReason(run: RunFacts, { isLastSuccess }: { readonly isLastSuccess: boolean }): string | undefined {
  if (run.status === "in_progress") return "it is running";
  if (run.pinned) return "it is pinned";
  if (run.release !== null) return `it belongs to release ${run.release}`;
  return isLastSuccess ? `the last success of ${run.intent}` : undefined;
}

function evaluateRun(run: RunFacts, { keepRuns, host }: GcPolicy, now: Date): GcDecision {
  if (!run.known) {
    return isSettled(run.startedAt, now)
      ? collect(run, "no row tells of it")
      : retain(run, "it is new, and no row tells of it yet");
  }
  if (run.host !== null && run.host !== host) return retain(run, `its files are on ${run.host}`);
  return collect(run, `older than the newest ${keepRuns} of ${run.productId}`);
}

function evaluateWorkspace(item: WorkspaceFacts, now: Date): GcDecision {
  if (item.task === "live") return retain(item, "its task is not over");
  if (item.doubt !== null) return retain(item, `kept for a person: ${item.doubt}`);
  if (item.isMade) return collect(item, item.task === "over" ? "its task is over" : "there is no such task");
  if (!isSettled(item.changedAt, now)) return retain(item, "it is new, and may be under way");
  return collect(item, "it was never finished, and no agent was in it");
}

function evaluateBranch(item: BranchFacts): GcDecision {
  if (item.task === "live") return retain(item, "its task is not over");
  if (item.hasWorkspace) return retain(item, "a working copy is on it");
  if (!item.isOurs && item.task === "none") return retain(item, "it is nobody's that is known");
  if (item.merged) return collect(item, "it is merged");
  if (item.onForge) return collect(item, "the forge has its commits");
  return { ...collect(item, "its task is over; its commits are saved first"), saveFirst: true };
}

function evaluateSnapshot(item: SnapshotFacts, { keepSnapshotsDays }: GcPolicy, now: Date): GcDecision {
  if (item.task === "live") return retain(item, "its task is not over");
  return isOlder(item.takenAt, keepSnapshotsDays, now)
    ? collect(item, `older than ${keepSnapshotsDays} days`)
    : retain(item, `not ${keepSnapshotsDays} days old yet`);
}

function evaluateMirror(item: MirrorFacts, { keepMirrorsDays }: GcPolicy, now: Date): GcDecision {
  if (item.wanted) return retain(item, "a task that is not over may come for it");
  if (item.workspaces > 0) return retain(item, "working copies hang on it");
  if (item.branches > 0) return retain(item, "it holds branches of agents");
  return isOlder(item.usedAt, keepMirrorsDays, now)
    ? collect(item, `not used for ${keepMirrorsDays} days`)
    : retain(item, `used within ${keepMirrorsDays} days`);
}

function evaluateAttempt(item: AttemptFacts, { keepRowsDays }: GcPolicy, now: Date): GcDecision {
  if (item.task === "live") return retain(item, "its task is not over");
  const days = item.task === "none" ? 1 : keepRowsDays;
  return isOlder(item.changedAt, days, now)
    ? collect(item, item.task === "none" ? "there is no such task" : `its task ended ${keepRowsDays} days ago`)
    : retain(item, `its task ended within ${days} ${days === 1 ? "day" : "days"}`);
}

function isSettled(since: Date, now: Date): boolean {
  return now.getTime() - since.getTime() >= SETTLED_MS;
}

function isOlder(since: Date, days: number, now: Date): boolean {
  return now.getTime() - since.getTime() >= days * DAY_MS;
}

function retain<Facts extends GcFacts>(item: Facts, reason: string): GcDecision<Facts> {
  return { item, collect: false, reason };
}

function collect<Facts extends GcFacts>(item: Facts, reason: string): GcDecision<Facts> {
  return { item, collect: true, reason };
}
