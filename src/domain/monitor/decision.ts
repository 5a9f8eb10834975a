/** The facts that the monitor gets about a live task, and the decisions it may make. The rules are in decide-task.ts and the files it imports. */
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

/** Everything observed about one task. Undefined means that it was not or could not be observed; it proves nothing. */
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
  /** On this forge, pushing a branch opens its pull request (the local forge). */
  readonly opensOnPush: boolean;
  /** Time that the attempt spent in EXCUSED_CONDITIONS, without the current one. */
  readonly excusedMs: number;
  /** A budget of the operator or the tenant that is used up, if any. */
  readonly exhaustedCap?: Cap | undefined;
}

export interface PullRequestFacts {
  readonly number: number;
  readonly state: "open" | "closed" | "merged";
  readonly headSha: string;
  readonly mergeSha: string | null;
}

/** The newest review round; 0 means that there was none yet. */
export interface ReviewFacts {
  readonly round: number;
  readonly headSha: string | undefined;
  readonly startedAt: Date | undefined;
}

type Evidence = Readonly<Record<string, unknown>>;

/** `do` says what the conductor does; `reason` is for people, audit and metrics; `evidence` is what was observed. */
export type Decision = DecisionVerb & { readonly reason: string; readonly evidence: Evidence };

type DecisionVerb =
  /** spawning → running. */
  | { readonly do: "run" }
  /** running → pr_created. */
  | { readonly do: "pr_created"; readonly number: number; readonly headSha: string }
  /** The branch is in the forge but has no open pull request of this attempt: open one, or move the open one's head. */
  | { readonly do: "open_pull_request"; readonly headSha: string }
  /** The agent ended with commits that exist only on its host: push them on its behalf. */
  | { readonly do: "publish"; readonly headSha: string | null }
  | { readonly do: "start_ci"; readonly headSha: string }
  /** pr_created → reviewing, or the next round for a new head. */
  | { readonly do: "start_review"; readonly headSha: string; readonly round: number }
  /** The round has timed out: aggregate now, and follow `onTimeout` if there is still no result. */
  | { readonly do: "settle_review"; readonly onTimeout: "ready" | "hold" }
  | { readonly do: "merged"; readonly mergeSha: string | null }
  /** The task is ready and approved, and the policy merges automatically. */
  | { readonly do: "merge"; readonly headSha: string }
  | { readonly do: "nudge" }
  /** Most of the task's budget is used; sent once for each of its limits. */
  | { readonly do: "warn_budget"; readonly cap: Cap }
  | { readonly do: "set_condition"; readonly condition: Condition; readonly detail: Evidence | null }
  /** The task cannot proceed by itself, so it goes to the inbox. */
  | { readonly do: "hold" }
  | { readonly do: "fail"; readonly class: FailureClass };
