/** Decides what garbage collection removes and what it retains, in the same way for a dry run and a real one. Nothing is removed here. */
import { z } from "zod";

export const GcKind = z.enum(["run", "workspace", "branch", "snapshot", "mirror", "socket", "attempt"]);
export type GcKind = z.infer<typeof GcKind>;

/** Whether the task an item belongs to is still active; `none` means that no task is known. */
export type TaskLiveness = "live" | "over" | "none";

interface GcItem {
  /** The item's name: a run's id, a branch, a folder's name. */
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
  /** The host whose disk holds it; null when no host does. */
  readonly host: string | null;
  /** False for a folder without a row in the database. */
  readonly known: boolean;
}

export interface WorkspaceFacts extends GcItem {
  readonly kind: "workspace";
  readonly task: TaskLiveness;
  /** It was completely set up once, so it may contain work that the clean-up has to save. Otherwise no agent ever ran in it. */
  readonly isComplete: boolean;
  /** Why the clean-up left it for a person to inspect. */
  readonly keptReason: string | null;
  readonly changedAt: Date;
}

export interface BranchFacts extends GcItem {
  readonly kind: "branch";
  readonly task: TaskLiveness;
  readonly hasWorkspace: boolean;
  readonly merged: boolean;
  readonly onForge: boolean;
  /** Its name has the form that Fleetwright gives its branches. */
  readonly isOurs: boolean;
  readonly head: string;
  readonly taskId: string | null;
  /** The URL of its repository. */
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
  /** An active task of any host may still need it. */
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
  /** The host whose files are considered. */
  readonly host: string;
}

export interface GcDecision<Facts extends GcFacts = GcFacts> {
  readonly item: Facts;
  readonly collect: boolean;
  readonly reason: string;
  /** Its commits have to be saved in a bundle before it is removed. */
  readonly saveFirst?: boolean;
}

const DAY_MS = 86_400_000;
/** A newer item may belong to a process that has not written its row yet. */
const SETTLED_MS = DAY_MS;

/** Decides about each item by the first rule that applies. The decisions are in the order of the facts. */
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

/** Returns the ids of the runs to retain, with the reason: protected ones, and the newest of each product. */
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
      ? collect(run, "it has no row in the database")
      : retain(run, "it is new and has no row yet");
  }
  if (run.host !== null && run.host !== host) return retain(run, `its files are on ${run.host}`);
  return collect(run, `older than the newest ${keepRuns} of ${run.productId}`);
}

function evaluateWorkspace(item: WorkspaceFacts, now: Date): GcDecision {
  if (item.task === "live") return retain(item, "its task is still active");
  if (item.keptReason !== null) return retain(item, `left for a person to inspect: ${item.keptReason}`);
  if (item.isComplete) return collect(item, item.task === "over" ? "its task has ended" : "its task does not exist");
  if (!isSettled(item.changedAt, now)) return retain(item, "it is new, and may still be in preparation");
  return collect(item, "it was never completed, and no agent ran in it");
}

function evaluateBranch(item: BranchFacts): GcDecision {
  if (item.task === "live") return retain(item, "its task is still active");
  if (item.hasWorkspace) return retain(item, "a working copy uses it");
  if (!item.isOurs && item.task === "none") return retain(item, "it does not belong to a known task");
  if (item.merged) return collect(item, "it is merged");
  if (item.onForge) return collect(item, "the forge has its commits");
  return { ...collect(item, "its task has ended; its commits are saved first"), saveFirst: true };
}

function evaluateSnapshot(item: SnapshotFacts, { keepSnapshotsDays }: GcPolicy, now: Date): GcDecision {
  if (item.task === "live") return retain(item, "its task is still active");
  return isOlder(item.takenAt, keepSnapshotsDays, now)
    ? collect(item, `older than ${keepSnapshotsDays} days`)
    : retain(item, `not ${keepSnapshotsDays} days old yet`);
}

function evaluateMirror(item: MirrorFacts, { keepMirrorsDays }: GcPolicy, now: Date): GcDecision {
  if (item.wanted) return retain(item, "an active task may need it");
  if (item.workspaces > 0) return retain(item, "working copies use it");
  if (item.branches > 0) return retain(item, "it contains branches of agents");
  return isOlder(item.usedAt, keepMirrorsDays, now)
    ? collect(item, `not used for ${keepMirrorsDays} days`)
    : retain(item, `used within ${keepMirrorsDays} days`);
}

function evaluateAttempt(item: AttemptFacts, { keepRowsDays }: GcPolicy, now: Date): GcDecision {
  if (item.task === "live") return retain(item, "its task is still active");
  const days = item.task === "none" ? 1 : keepRowsDays;
  return isOlder(item.changedAt, days, now)
    ? collect(item, item.task === "none" ? "its task does not exist" : `its task ended ${keepRowsDays} days ago`)
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
