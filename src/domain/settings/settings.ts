/** fleet.yaml: what the operator decides about products, reviewers, retries and patience. Reading the file is not done here. */
import { z } from "zod";
import { DoneCriteria } from "../task/definition-of-done.ts";
import { SLOTS_BY_TIER, type Tier } from "../operator.ts";
import { Product } from "../product.ts";
import { CHANNELS, type ChannelTable } from "../notify/channels.ts";
import { AGENT_TYPES, type AgentTypeTable, namesOf, namesWith } from "../task/agent-types.ts";
import { type AgentType, TaskType } from "../task/task.ts";
import { Tenants } from "../tenant.ts";
import { GcSettings } from "./gc.ts";
import { MonitorSettings, PullRequestSettings, ReviewSettings } from "./monitor.ts";
import { notifySettings } from "./notify.ts";
import { PlannerSettings } from "./planner.ts";
import { RetrySettings } from "./retry.ts";
import { type Reviewer, reviewerLists, reviewerSettings } from "./reviewer.ts";
import { rosterSettings } from "./roster.ts";
import { perTaskType, unique } from "./schemas.ts";
import type { KeyedProblem } from "../input-problems.ts";
import { locateProblems } from "../input-problems.ts";
import { Governance } from "./governance.ts";

/** The schema, with the channels and agent types of these tables. */
export function fleetSettings<AgentTypes extends AgentTypeTable>(channels: ChannelTable, agentTypes: AgentTypes) {
  const agentType = z.enum(namesOf(agentTypes));
  const reviewer = reviewerSettings(z.enum(namesWith(agentTypes, "mayReview")));
  const route = z.strictObject({ agentType, model: z.string().min(1).max(128).optional() });
  return z.strictObject({
    version: z.literal(1).default(1),
    products: z.array(Product).max(20_000).superRefine(unique("id")).superRefine(unique("repository")).default([]),
    reviewers: reviewerLists(reviewer).prefault([]),
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
    notify: notifySettings(channels),
    planner: PlannerSettings,
    gc: GcSettings,
    tenants: Tenants,
    governance: Governance,
    roster: rosterSettings(agentType),
    routing: z
      .partialRecord(TaskType, z.array(route).min(1).max(8))
      .default({})
      .transform((given) => ({ ...DEFAULT_ROUTING, ...given })),
  });
}

export const Settings = fleetSettings(CHANNELS, AGENT_TYPES);
export type Settings = z.infer<typeof Settings>;

export type ParsedSettings =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly KeyedProblem[] };

const DEFAULT_ROUTING: Readonly<
  Record<TaskType, readonly { readonly agentType: AgentType; readonly model: string }[]>
> = {
  bug_fix: [{ agentType: "claude_code", model: "claude-opus-4-6" }],
  feature: [{ agentType: "claude_code", model: "claude-opus-4-6" }],
  refactor: [{ agentType: "codex", model: "codex-mini-latest" }],
  review: [{ agentType: "gemini", model: "gemini-2.5-pro" }],
  docs: [{ agentType: "claude_code", model: "claude-sonnet-4-5" }],
};

/** Everything that is wrong is said at once. An empty file means the defaults. */
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

/** By id first, so that two products with similar paths cannot be mixed up. */
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
