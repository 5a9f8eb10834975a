/** GET /tasks/:task/story: a task with its history, attempts, reviews and checks. */
import { z } from "zod";
import { findEstopHolds } from "../../conductor/attempts/estop.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { getTaskDetails, type TaskDetails } from "../../conductor/tasks/find.ts";
import type { EstopSwitch } from "../../domain/task/kill-switch.ts";
import { FailureContext, TaskStatus } from "../../domain/task/task.ts";
import { stableAgent, viewTaskAgent } from "../../views/agent.ts";
import { StoryView, viewStory, type HistoryEntry } from "../../views/task-details.ts";
import { defineRoute } from "../route.ts";
import { TaskParams } from "./params.ts";
import { toObservation } from "./ps.ts";

export const storyRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/tasks/:task/story",
    tier: "observer",
    summary: "What happened to a task, the reason for its status, and what comes next",
    params: TaskParams,
    reply: StoryView,
    etagOf: ({ agent, ...rest }) => ({ ...rest, agent: agent && stableAgent(agent) }),
    errors: ["task-not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, params }) => {
    const story = await getTaskDetails(fleet, operator, params.task);
    const { holds } = await findEstopHolds(fleet, operator, [story.task]);
    return {
      body: buildStoryView(
        { ...story, hold: holds.get(story.task.id) },
        { now: fleet.clock(), intervalMs: fleet.heartbeatIntervalMs },
      ),
    };
  },
);

function buildStoryView(
  story: TaskDetails & { readonly hold: EstopSwitch | undefined },
  at: { now: Date; intervalMs: number },
): StoryView {
  const { task, facts, attempts, hold, position } = story;
  const pullRequest = story.pullRequests.at(-1);
  const round = task.metadata.reviewRound ?? 0;
  return viewStory({
    task,
    hold,
    position,
    history: story.history.map((entry) => toHistoryEntry(entry, story)),
    agent: facts ? viewTaskAgent(task, { ...toObservation(facts, task.attempt), hold }, at) : null,
    pullRequest: pullRequest
      ? { ...pullRequest, url: task.prUrl, additions: null, deletions: null, files: null }
      : null,
    ci: (story.ciRuns.at(-1)?.steps ?? []).map(({ name, exitCode, durationMs }) => ({
      name,
      state: exitCode === 0 ? ("passing" as const) : ("failing" as const),
      tookMs: durationMs,
    })),
    reviews: story.reviews
      .filter((review) => review.round === round)
      .map((review) => ({
        reviewer: review.reviewer,
        verdict: review.status === "missing" ? ("missing" as const) : (review.verdict ?? ("pending" as const)),
        summary: review.summary ?? review.error ?? "",
        findings: review.findings.map(toFinding),
        tookMs: review.startedAt && review.endedAt ? review.endedAt.getTime() - review.startedAt.getTime() : null,
      })),
    done: toCriteria(task.doneStatus),
    learnt: attempts.flatMap(({ attempt, failureContext }) =>
      failureContext && attempt < task.attempt ? [`attempt ${attempt + 1}: ${failureContext.summary}`] : [],
    ),
  });
}

function toHistoryEntry(entry: TaskDetails["history"][number], { attempts }: TaskDetails): HistoryEntry {
  const detail: Record<string, unknown> = JSON.parse(entry.detailText);
  const status = (key: string) => TaskStatus.safeParse(detail[key]).data ?? null;
  const attempt = typeof detail["attempt"] === "number" ? detail["attempt"] : null;
  const to = status("to");
  const message = typeof detail["told"] === "string" ? `: ${detail["told"]}` : "";
  const failure =
    to === "failed" || to === "rejected"
      ? (FailureContext.safeParse(attempts.find((one) => one.attempt === attempt)?.failureContext).data ?? null)
      : null;
  return {
    at: entry.at,
    actor: entry.actor,
    text: `${entry.action.replace(/^task\./, "").replaceAll(/[._]/g, " ")}${message}`,
    from: status("from"),
    to,
    attempt,
    failure,
  };
}

function toFinding(finding: Readonly<Record<string, unknown>>) {
  const text = (key: string) => (typeof finding[key] === "string" ? finding[key] : null);
  return {
    file: text("file"),
    line: typeof finding["line"] === "number" ? finding["line"] : null,
    severity: text("severity") ?? "medium",
    message: text("message") ?? "",
  };
}

const CRITERION_STATES = { met: "holds", not_required: "holds", unmet: "fails", unknown: "open" } as const;

const Criteria = z.record(
  z.string(),
  z.object({ state: z.enum(["met", "not_required", "unmet", "unknown"]), evidence: z.string() }),
);

function toCriteria(done: TaskDetails["task"]["doneStatus"]) {
  const criteria = Criteria.safeParse(done?.["criteria"]).data ?? {};
  return Object.entries(criteria).map(([name, { state, evidence }]) => ({
    name: name.replaceAll("_", " "),
    state: CRITERION_STATES[state],
    evidence,
  }));
}
