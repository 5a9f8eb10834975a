/** The details of a task, as `fleet show` prints them: what happened when, how long it took, the reason for its status. */
import { z } from "zod";
import type { EstopSwitch } from "../domain/task/kill-switch.ts";
import { explainTask } from "../domain/task/explain-task.ts";
import { isTerminal, TaskStatus, type FailureContext, type Task } from "../domain/task/task.ts";
import { AgentView, viewWait, WaitView } from "./agent.ts";
import { HoldView, viewHold } from "./estop.ts";
import { toIsoOrNull } from "./fields.ts";
import { FailureSummary, TaskView, viewFailure, viewTask } from "./task.ts";

export const TimelineEntry = z
  .object({
    at: z.iso.datetime(),
    status: TaskStatus.nullable().meta({ description: "The status that it led to; null if it changed none" }),
    attempt: z.int().nullable(),
    actor: z.string().nullable(),
    text: z.string(),
    tookMs: z
      .number()
      .nullable()
      .meta({ description: "How long this status lasted; null: it still lasts, or the status did not change" }),
  })
  .meta({ id: "TimelineEntry" });

export const AttemptView = z
  .object({
    attempt: z.int(),
    startedAt: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
    tookMs: z.number().nullable(),
    outcome: z.string(),
    failure: FailureSummary.nullable(),
  })
  .meta({ id: "Attempt" });

export const PullRequestView = z
  .object({
    number: z.int(),
    url: z.string().nullable(),
    state: z.enum(["open", "merged", "closed"]),
    title: z.string(),
    headSha: z.string().nullable(),
    additions: z.int().nullable(),
    deletions: z.int().nullable(),
    files: z.int().nullable(),
  })
  .meta({ id: "PullRequest" });

export const CheckView = z
  .object({ name: z.string(), state: z.enum(["pending", "passing", "failing"]), tookMs: z.number().nullable() })
  .meta({ id: "Check", description: "One check of CI" });

export const ReviewView = z
  .object({
    reviewer: z.string(),
    verdict: z.enum(["approve", "request_changes", "comment", "pending", "missing"]),
    summary: z.string(),
    findings: z.array(
      z.object({ file: z.string().nullable(), line: z.int().nullable(), severity: z.string(), message: z.string() }),
    ),
    tookMs: z.number().nullable(),
  })
  .meta({ id: "Review" });

export const CriterionView = z
  .object({ name: z.string(), state: z.enum(["holds", "open", "fails"]), evidence: z.string() })
  .meta({ id: "Criterion", description: "One criterion of the definition of done" });

export const StoryView = z
  .object({
    task: TaskView,
    why: z.string(),
    next: z.string(),
    stopped: HoldView.nullable().meta({ description: "The kill switch that stops it" }),
    waits: WaitView.nullable().meta({ description: "Why it does not start, and its position; null: it does not wait" }),
    timeline: z.array(TimelineEntry),
    attempts: z.array(AttemptView),
    agent: AgentView.nullable().meta({ description: "What its host last observed; null if it has no agent now" }),
    pullRequest: PullRequestView.nullable(),
    ci: z.array(CheckView),
    reviews: z.array(ReviewView),
    done: z.array(CriterionView),
    learnt: z.array(z.string()).meta({ description: "What the next attempt gets from earlier ones" }),
  })
  .meta({ id: "Story" });
export type StoryView = z.infer<typeof StoryView>;

/** A task with the reason for its status. */
export const TaskDetailView = TaskView.extend({ why: z.string(), next: z.string(), waits: WaitView.nullable() }).meta({
  id: "TaskDetail",
});

export function viewTaskDetail(task: Task, position: number | undefined): z.infer<typeof TaskDetailView> {
  return { ...viewTask(task), ...explainTask(task), waits: viewWait(task, position) };
}

/** One entry of the task's history, oldest first, as the audit log has it. */
export interface HistoryEntry {
  readonly at: Date;
  readonly actor: string | null;
  readonly text: string;
  readonly from?: TaskStatus | null;
  readonly to?: TaskStatus | null;
  readonly attempt?: number | null;
  readonly failure?: FailureContext | null;
}

export interface StoryParts {
  readonly task: Task;
  readonly history: readonly HistoryEntry[];
  readonly hold?: EstopSwitch | undefined;
  /** How many tasks are ahead of it in the queue. */
  readonly position?: number | undefined;
  readonly agent?: AgentView | null;
  readonly pullRequest?: z.infer<typeof PullRequestView> | null;
  readonly ci?: readonly z.infer<typeof CheckView>[];
  readonly reviews?: readonly z.infer<typeof ReviewView>[];
  readonly done?: readonly z.infer<typeof CriterionView>[];
  readonly learnt?: readonly string[];
}

export function viewStory(parts: StoryParts): StoryView {
  const { task, history, hold, position, agent, pullRequest, ci = [], reviews = [], done = [], learnt = [] } = parts;
  return {
    task: viewTask(task),
    ...explainTask(task),
    stopped: viewHold(hold),
    waits: viewWait(task, position),
    timeline: viewTimeline(history),
    attempts: viewAttempts(task, history),
    agent: agent ?? null,
    pullRequest: pullRequest ?? null,
    ci: [...ci],
    reviews: [...reviews],
    done: [...done],
    learnt: [...learnt],
  };
}

/** A status lasts until the next entry that changes it. */
function viewTimeline(history: readonly HistoryEntry[]): StoryView["timeline"] {
  return history.map(({ at, actor, text, to = null, attempt = null }, index) => {
    const end = to === null ? undefined : history.slice(index + 1).find((later) => later.to);
    return {
      at: at.toISOString(),
      status: to,
      attempt,
      actor,
      text,
      tookMs: end ? end.at.getTime() - at.getTime() : null,
    };
  });
}

const ATTEMPT_END_STATUSES: ReadonlySet<TaskStatus | null | undefined> = new Set<TaskStatus>([
  "failed",
  "rejected",
  "ready",
  "merged",
  "cancelled",
  "abandoned",
]);

/** An attempt begins with `spawning` and ends with the first status that is a result. */
function viewAttempts(task: Task, history: readonly HistoryEntry[]): StoryView["attempts"] {
  const starts = history.filter(({ to }) => to === "spawning");
  return starts.map((start, index) => {
    const next = starts[index + 1];
    const span = history.slice(history.indexOf(start) + 1, next ? history.indexOf(next) : undefined);
    const end = span.find(({ to }) => ATTEMPT_END_STATUSES.has(to));
    const attempt = start.attempt ?? index;
    const unended = next || isTerminal(task.status) ? "ended" : task.status;
    return {
      attempt,
      startedAt: toIsoOrNull(start.at),
      endedAt: toIsoOrNull(end?.at),
      tookMs: end ? end.at.getTime() - start.at.getTime() : null,
      outcome: end?.to ?? unended,
      failure: viewFailure(end?.failure ?? failureOf(task, attempt)),
    };
  });
}

function failureOf(task: Task, attempt: number): FailureContext | null {
  return task.failureContext?.attempt === attempt ? task.failureContext : null;
}
