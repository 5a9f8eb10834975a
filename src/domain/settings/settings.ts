/** fleet.yaml: what the operator decides about products, reviewers, retries and patience. Reading the file is not done here. */
import { z } from "zod";
import { DoneCriteria } from "../task/definition-of-done.ts";
import { SLOTS_BY_TIER, type Tier } from "../operator.ts";
import { Argv, NonEmptyText, Minutes, Slug, Product } from "../product.ts";
import { AgentType, TaskType } from "../task/task.ts";
import { Tenants } from "../tenant.ts";
import { Governance } from "../monitor/self-monitoring.ts";
import { WebhookUrl } from "../text/webhook-url.ts";
import type { KeyedProblem } from "../input-problems.ts";
import { locateProblems } from "../input-problems.ts";

const Ms = z.int().min(0).max(86_400_000);

export const Reviewer = z
  .strictObject({
    name: Slug,
    type: z.enum(["command", "stub", "claude_code", "codex", "gemini"]),
    role: z.string().min(1).max(200).default("review").describe("what it looks for"),
    command: Argv.optional().describe(
      "for type command: the prompt arrives on its stdin, a JSON verdict is its output",
    ),
    script: z.string().max(64).optional().describe("for type stub: which behaviour it plays"),
    timeoutMinutes: Minutes.default(10),
  })
  .refine((reviewer) => reviewer.type !== "command" || reviewer.command !== undefined, {
    path: ["command"],
    message: "is needed for a reviewer of type command",
  });
export type Reviewer = z.infer<typeof Reviewer>;

const Reviewers = z.array(Reviewer).max(16).superRefine(unique("name"));

/** One setting for all task types, or one per type beside a default. */
function perTaskType<Default extends z.ZodType>(one: z.ZodType, fallback: Default) {
  const types = Object.fromEntries(TaskType.options.map((type) => [type, one.optional()]));
  return z.strictObject({ default: fallback, ...types });
}

const ReviewerLists = z.union([
  Reviewers.transform((list) => ({ default: list })),
  perTaskType(Reviewers, Reviewers.default([])),
]);

const AgentRoute = z.strictObject({ agentType: AgentType, model: z.string().min(1).max(128).optional() });

/** How long a task may stay in a condition, and what then: fail it, or leave it and show it in the inbox. */
const patienceSetting = (maxMinutes: number, atMost: "fail" | "hold") =>
  z
    .strictObject({ maxMinutes: Minutes.default(maxMinutes), atMost: z.enum(["fail", "hold"]).default(atMost) })
    .prefault({});

const Days = z.int().min(1).max(3_650);

/** Declared here, compared with what runs; started and stopped elsewhere. */
const RosterAgent = z.strictObject({
  name: Slug,
  runtime: NonEmptyText.max(64).describe("the program its pane must run"),
  session: NonEmptyText.max(64).describe("the tmux session it lives in"),
  host: NonEmptyText.max(63).optional().describe("only there; any host when left out"),
  agentType: AgentType.optional(),
  command: Argv.optional(),
  socket: NonEmptyText.max(512).optional().describe("of its tmux server; the user's own when left out"),
});
export type RosterAgent = z.infer<typeof RosterAgent>;

const MonitorSettings = z.strictObject({
  stallMinutes: Minutes.default(10).describe("without commit, output or CPU: nudged; as long again: failed"),
  spawnTimeoutMs: Ms.min(1).default(120_000).describe("from the claim to the first heartbeat"),
  heartbeatIntervalMs: Ms.min(100).default(15_000),
  hostGraceMs: Ms.default(120_000).describe("after a host's lease ran out, before its agents count as lost"),
  ciTimeoutMs: Ms.min(1).default(3_600_000).describe("a pull request whose checks never come in fails"),
  ciReruns: z.int().min(0).max(10).default(2).describe("runs repeated when the environment, not the product, failed"),
  needsInput: patienceSetting(1_440, "fail"),
  waitingQuota: patienceSetting(1_440, "fail"),
  operatorAttached: patienceSetting(720, "hold"),
  paused: patienceSetting(10_080, "hold"),
});

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
    .describe("agents at a time, per operator"),
  retry: z
    .strictObject({
      baseDelayMs: Ms.default(30_000),
      capMs: Ms.default(120_000),
      maxRounds: z
        .int()
        .min(1)
        .max(100)
        .default(10)
        .describe("attempts of one task, those that burn no retry included"),
    })
    .prefault({}),
  monitor: MonitorSettings.prefault({}),
  pr: z
    .strictObject({
      open: z.enum(["either", "agent", "fleet"]).default("either").describe("who opens the pull request"),
      merge: z.enum(["squash", "merge"]).default("squash"),
    })
    .prefault({}),
  review: z
    .strictObject({
      requiredApprovals: z.int().min(0).max(16).default(1),
      timeoutMinutes: Minutes.default(30),
      onTimeout: z.enum(["ready", "hold"]).default("ready").describe("ready: with a warning, never merged by itself"),
      maxRounds: z.int().min(1).max(20).default(5),
    })
    .prefault({}),
  autoMerge: z.boolean().default(false),
  notify: z
    .strictObject({
      channels: z
        .array(z.enum(["terminal", "webhook", "email"]))
        .min(1)
        .max(3)
        .default(["terminal"]),
      mute: z.array(z.string().max(64)).max(32).default([]).describe("types of notification nobody wants"),
      webhook: z
        .strictObject({ url: WebhookUrl, secret: z.string().min(16).max(512) })
        .optional()
        .describe("where the webhook channel sends; the secret signs each message"),
      email: z.strictObject({ to: z.email() }).optional().describe("where the e-mail channel sends (FLEET_SMTP_URL)"),
    })
    .superRefine(({ channels, webhook, email }, context) => {
      const without = { webhook: !webhook, email: !email, terminal: false };
      for (const [at, channel] of channels.entries()) {
        if (without[channel]) {
          context.addIssue({
            code: "custom",
            path: ["channels", at],
            message: `needs notify.${channel}: where to send`,
          });
        }
      }
    })
    .prefault({}),
  planner: z
    .strictObject({
      everyMinutes: z
        .int()
        .min(5)
        .max(10_080)
        .optional()
        .describe("plans by itself so often; only when asked, when left out"),
      budget: z.int().min(1).max(1_000).default(10).describe("orders of one plan"),
      run: z.boolean().default(true).describe("false: they wait for fleet run"),
    })
    .prefault({})
    .describe("planning from the state of the products, beside their schedules"),
  gc: z
    .strictObject({
      keepRuns: z.int().min(1).max(10_000).default(10).describe("the newest of each product"),
      graceMinutes: Minutes.default(1_440).describe("between putting aside and deleting"),
      keepSnapshotsDays: Days.default(30),
      keepMirrorsDays: Days.default(30).describe("since a task last used one"),
      keepAuditMonths: z
        .int()
        .min(1)
        .max(240)
        .optional()
        .describe("whole months of the audit log, and never less than its tasks are kept; all of them when left out"),
      auditExportFirst: z
        .boolean()
        .default(true)
        .describe("old months of the audit log stay until the whole of it was exported"),
      keepRowsDays: Days.default(90).describe("of tasks and orders that are over, and of what they told"),
    })
    .prefault({})
    .describe("what is kept, and for how long"),
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

/** Everything that is wrong is said at once. An empty file means the defaults. */
export function parseSettings(input: unknown): ParsedSettings {
  const parsed = Settings.safeParse(input ?? {});
  return parsed.success
    ? { ok: true, settings: parsed.data }
    : { ok: false, problems: parsed.error.issues.flatMap(locateProblems) };
}

export const DEFAULT_SETTINGS: Settings = Settings.parse({});

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

/** Refuses a list in which two entries carry the same key, at the second one. */
function unique<Key extends string>(key: Key) {
  return (list: readonly Readonly<Record<Key, unknown>>[], context: z.RefinementCtx): void => {
    const seen = new Set<unknown>();
    for (const [at, entry] of list.entries()) {
      if (seen.has(entry[key])) {
        context.addIssue({ code: "custom", path: [at, key], message: `${String(entry[key])} is there twice` });
      }
      seen.add(entry[key]);
    }
  };
}
