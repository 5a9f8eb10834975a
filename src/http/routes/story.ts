/** GET /tasks/:task/story: the whole story of a task. */
import { z } from "zod";
import { lookAtStops } from "../../conductor/attempts/estop.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { tellStory, type Story } from "../../conductor/tasks/find.ts";
import type { EstopSwitch } from "../../domain/task/kill-switch.ts";
import { FailureContext, TaskStatus } from "../../domain/task/task.ts";
import { lastingAgent, viewTaskAgent } from "../../views/agent.ts";
import { StoryView, viewStory, type HistoryEntry } from "../../views/task-details.ts";
import { defineRoute } from "../route.ts";
import { TaskParams } from "./params.ts";
import { sightOf } from "./ps.ts";

export const storyRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/tasks/:task/story",
    tier: "observer",
    summary: "What happened to a task, why it is where it is, and what comes next",
    params: TaskParams,
    reply: StoryView,
    lasting: ({ agent, ...rest }) => ({ ...rest, agent: agent && lastingAgent(agent) }),
    errors: ["task-not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, params }) => {
    const story = await tellStory(fleet, operator, params.task);
    const { holds } = await lookAtStops(fleet, operator, [story.task]);
    return {
      body: view(
        { ...story, hold: holds.get(story.task.id) },
        { now: fleet.clock(), intervalMs: fleet.heartbeatIntervalMs },
      ),
    };
  },
);

function view(
  story: Story & { readonly hold: EstopSwitch | undefined },
  at: { now: Date; intervalMs: number },
): StoryView {
  const { task, facts, attempts, hold, position } = story;
  const pullRequest = story.pullRequests.at(-1);
  const round = task.metadata.reviewRound ?? 0;
  return viewStory({
    task,
    hold,
    position,
    history: story.history.map((entry) => historyOf(entry, story)),
    agent: facts ? viewTaskAgent(task, { ...sightOf(facts, task.attempt), hold }, at) : null,
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
        findings: review.findings.map(findingOf),
        tookMs: review.startedAt && review.endedAt ? review.endedAt.getTime() - review.startedAt.getTime() : null,
      })),
    done: doneOf(task.doneStatus),
    learnt: attempts.flatMap(({ attempt, failureContext }) =>
      failureContext && attempt < task.attempt ? [`attempt ${attempt + 1}: ${failureContext.summary}`] : [],
    ),
  });
}

function historyOf(entry: Story["history"][number], { attempts }: Story): HistoryEntry {
  const detail: Record<string, unknown> = JSON.parse(entry.detailText);
  const status = (key: string) => TaskStatus.safeParse(detail[key]).data ?? null;
  const attempt = typeof detail["attempt"] === "number" ? detail["attempt"] : null;
  const to = status("to");
  const told = typeof detail["told"] === "string" ? `: ${detail["told"]}` : "";
  const failure =
    to === "failed" || to === "rejected"
      ? (FailureContext.safeParse(attempts.find((one) => one.attempt === attempt)?.failureContext).data ?? null)
      : null;
  return {
    at: entry.at,
    actor: entry.actor,
    text: `${entry.action.replace(/^task\./, "").replaceAll(/[._]/g, " ")}${told}`,
    from: status("from"),
    to,
    attempt,
    failure,
  };
}

function findingOf(finding: Readonly<Record<string, unknown>>) {
  const text = (key: string) => (typeof finding[key] === "string" ? finding[key] : null);
  return {
    file: text("file"),
    line: typeof finding["line"] === "number" ? finding["line"] : null,
    severity: text("severity") ?? "medium",
    message: text("message") ?? "",
  };
}

const STATES = { met: "holds", not_required: "holds", unmet: "fails", unknown: "open" } as const;

const Criteria = z.record(
  z.string(),
  z.object({ state: z.enum(["met", "not_required", "unmet", "unknown"]), evidence: z.string() }),
);

function doneOf(done: Story["task"]["doneStatus"]) {
  const criteria = Criteria.safeParse(done?.["criteria"]).data ?? {};
  return Object.entries(criteria).map(([name, { state, evidence }]) => ({
    name: name.replaceAll("_", " "),
    state: STATES[state],
    evidence,
  }));
}
