/** What the monitor is told about a live task, and what it may decide. The rules are in monitor.ts and the files it names. */
import type { Cap } from "../budget.ts";
import type { CiFacts } from "../task/ci.ts";
import type { StoredAgentFacts } from "./facts.ts";
import type { Condition, FailureClass, Task } from "../task/task.ts";

export type MonitoredTask = Pick<
  Task,
  | "status"
  | "condition"
  | "conditionDetail"
  | "conditionSince"
  | "attempt"
  | "dispatchId"
  | "host"
  | "reviewStatus"
  | "spawnedAt"
  | "updatedAt"
  | "timeoutMinutes"
  | "budget"
  | "spend"
  | "metadata"
>;

/** Everything observed about one task. Undefined: nobody looked, or nobody could tell; it proves nothing. */
export interface TaskFacts {
  readonly agent: StoredAgentFacts | undefined;
  /** The lease of the task's host. */
  readonly host: { readonly leaseUntil: Date } | undefined;
  /** The task's branch in the forge. */
  readonly branch: { readonly headSha: string } | undefined;
  /** The newest pull request of the branch. */
  readonly pullRequest: PullRequestFacts | undefined;
  readonly ci: CiFacts;
  readonly review: ReviewFacts;
  /** Pushing a branch opens its pull request (the local forge). */
  readonly opensOnPush: boolean;
  /** Time that the attempt spent in EXCUSED_CONDITIONS, without the current one. */
  readonly excusedMs: number;
  /** A budget of the operator or the tenant that is used up. */
  readonly exhaustedCap?: Cap | undefined;
}

export interface PullRequestFacts {
  readonly number: number;
  readonly state: "open" | "closed" | "merged";
  readonly headSha: string;
  readonly mergeSha: string | null;
}

/** The newest review round; round 0 is none yet. */
export interface ReviewFacts {
  readonly round: number;
  readonly headSha: string | undefined;
  readonly startedAt: Date | undefined;
}

type Evidence = Readonly<Record<string, unknown>>;

/** The verb is what the conductor does; `reason` is for people, audit and metrics; `evidence` is what was seen. */
export type Decision = DecisionVerb & { readonly reason: string; readonly evidence: Evidence };

type DecisionVerb =
  /** spawning → running. */
  | { readonly do: "run" }
  /** running → pr_created. */
  | { readonly do: "pr_created"; readonly number: number; readonly headSha: string }
  /** The branch is in the forge but has no open pull request of this attempt: open one, or move the open one's head. */
  | { readonly do: "open_pull_request"; readonly headSha: string }
  /** The agent ended and left commits that are only on its host: push them on its behalf. */
  | { readonly do: "publish"; readonly headSha: string | null }
  | { readonly do: "start_ci"; readonly headSha: string }
  /** pr_created → reviewing, or the next round for a new head. */
  | { readonly do: "start_review"; readonly headSha: string; readonly round: number }
  /** The round is over time: aggregate now; what then still times out follows `onTimeout`. */
  | { readonly do: "settle_review"; readonly onTimeout: "ready" | "hold" }
  | { readonly do: "merged"; readonly mergeSha: string | null }
  /** ready, approved and the policy says so. */
  | { readonly do: "merge"; readonly headSha: string }
  | { readonly do: "nudge" }
  /** Most of the task's budget is used; told once for each of its figures. */
  | { readonly do: "warn_budget"; readonly cap: Cap }
  | { readonly do: "set_condition"; readonly condition: Condition; readonly detail: Evidence | null }
  /** Nothing goes on by itself: it belongs into the inbox. */
  | { readonly do: "hold" }
  | { readonly do: "fail"; readonly class: FailureClass };
