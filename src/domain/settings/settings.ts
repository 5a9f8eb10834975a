/** The schema of fleet.yaml: what the operator decides about products, reviewers, retries and limits. The file is read elsewhere. */
import { z } from "zod";
import { DoneCriteria } from "../task/definition-of-done.ts";
import { SLOTS_BY_TIER, type Tier } from "../operator.ts";
import { Product } from "../product.ts";
import { AgentType, TaskType } from "../task/task.ts";
import { Tenants } from "../tenant.ts";
import { GcSettings } from "./gc.ts";
import { MonitorSettings, PullRequestSettings, ReviewSettings } from "./monitor.ts";
import { NotifySettings } from "./notify.ts";
import { PlannerSettings } from "./planner.ts";
import { RetrySettings } from "./retry.ts";
import { ReviewerLists, type Reviewer } from "./reviewer.ts";
import { RosterAgent } from "./roster.ts";
import { perTaskType, unique } from "./schemas.ts";
import type { KeyedProblem } from "../input-problems.ts";
import { locateProblems } from "../input-problems.ts";
import { Governance } from "./governance.ts";

const AgentRoute = z.strictObject({ agentType: AgentType, model: z.string().min(1).max(128).optional() });

export const Settings = z.strictObject({
  version: z.literal(1).default(1),
  products: z.array(Product).max(20_000).superRefine(unique("id")).superRefine(unique("repository")).default([]),
  reviewers: ReviewerLists.prefault([]),
  done: perTaskType(DoneCriteria, DoneCriteria.prefault({})).prefault({}),
  tiers: z
    .strictObject({
      observer: slots("observer"),
      participant: slots("participant"),
      builder: slots("builder"),
      architect: slots("architect"),
      sovereign: slots("sovereign"),
    })
    .prefault({})
    .describe("how many agents an operator may run at a time"),
  retry: RetrySettings,
  monitor: MonitorSettings.prefault({}),
  pr: PullRequestSettings,
  review: ReviewSettings,
  autoMerge: z.boolean().default(false),
  notify: NotifySettings,
  planner: PlannerSettings,
  gc: GcSettings,
  tenants: Tenants,
  governance: Governance,
  roster: z.array(RosterAgent).max(256).superRefine(unique("name")).default([]).describe("always-on agents"),
  routing: z
    .partialRecord(TaskType, z.array(AgentRoute).min(1).max(8))
    .default({})
    .transform((given) => ({ ...DEFAULT_ROUTING, ...given })),
});
export type Settings = z.infer<typeof Settings>;

export type ParsedSettings =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly KeyedProblem[] };

const DEFAULT_ROUTING: Readonly<Record<TaskType, readonly z.infer<typeof AgentRoute>[]>> = {
  bug_fix: [{ agentType: "claude_code", model: "claude-opus-4-6" }],
  feature: [{ agentType: "claude_code", model: "claude-opus-4-6" }],
  refactor: [{ agentType: "codex", model: "codex-mini-latest" }],
  review: [{ agentType: "gemini", model: "gemini-2.5-pro" }],
  docs: [{ agentType: "claude_code", model: "claude-sonnet-4-5" }],
};

/** Reports all problems at once. An empty file gives the defaults. */
export function parseSettings(input: unknown): ParsedSettings {
  const parsed = Settings.safeParse(input ?? {});
  return parsed.success
    ? { ok: true, settings: parsed.data }
    : { ok: false, problems: parsed.error.issues.flatMap(locateProblems) };
}

export function reviewersFor(settings: Settings, taskType: TaskType): readonly Reviewer[] {
  return forTaskType(settings.reviewers, taskType);
}

export function doneCriteriaFor(settings: Settings, taskType: TaskType): DoneCriteria {
  return forTaskType(settings.done, taskType);
}

/** An id takes precedence over a repository, so that similar paths cannot be confused. */
export function findProduct(settings: Settings, idOrRepository: string): Product | undefined {
  return (
    settings.products.find((product) => product.id === idOrRepository) ??
    settings.products.find((product) => product.repository === idOrRepository)
  );
}

function forTaskType<One>(
  setting: { readonly default: One } & Partial<Record<TaskType, One>>,
  taskType: TaskType,
): One {
  return setting[taskType] ?? setting.default;
}

function slots(tier: Tier) {
  return z.int().min(0).max(10_000).default(SLOTS_BY_TIER[tier]);
}
