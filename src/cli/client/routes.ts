/**
 * The routes of the API, written from docs/openapi.json; not by hand: UPDATE_DOCS=1 npx vitest run tests/docs
 * `ask` is what a route takes, `reply` what it answers; GETs that stream are called STREAM.
 */
/* oxlint-disable eslint/max-lines */

/** What stands in a query, as text in the end. */
type Word = string | number | boolean | undefined;

export interface Routes {
  "POST /api/fleet/spawn": {
    readonly ask: {
      readonly idempotencyKey?: string | undefined;
      readonly body: {
        readonly repository: string;
        readonly description: string;
        readonly title?: string | undefined;
        readonly acceptance?: string | undefined;
        readonly agentType?: "claude_code" | "codex" | "gemini" | "opencode" | "command" | "stub" | undefined;
        readonly model?: string | undefined;
        readonly taskType?: "bug_fix" | "feature" | "refactor" | "review" | "docs" | undefined;
        readonly baseBranch?: string | undefined;
        readonly branch?: string | undefined;
        readonly workspace?: "worktree" | "clone" | undefined;
        readonly command?: string[] | undefined;
        readonly script?: string | undefined;
        readonly budget?: TaskBudget | undefined;
        readonly maxRetries?: number | undefined;
        readonly timeoutMinutes?: number | undefined;
      };
    };
    readonly reply: Task;
  };
  "GET /api/fleet/status": {
    readonly ask: { readonly query?: { readonly all?: Word } };
    readonly reply: {
      readonly counts: { readonly [name: string]: number };
      readonly stops: Estop[];
      readonly tasks: Task[];
    };
  };
  "GET /api/fleet/tasks": {
    readonly ask: {
      readonly query?: {
        readonly cursor?: Word;
        readonly limit?: Word;
        readonly status?: Word;
        readonly type?: Word;
        readonly agent?: Word;
        readonly host?: Word;
        readonly since?: Word;
        readonly text?: Word;
        readonly mine?: Word;
        readonly all?: Word;
      };
    };
    readonly reply: { readonly items: Task[]; readonly nextCursor: string | null };
  };
  "GET /api/fleet/tasks/{task}": {
    readonly ask: { readonly path: { readonly task: string } };
    readonly reply: TaskDetail;
  };
  "DELETE /api/fleet/tasks/{task}": {
    readonly ask: { readonly path: { readonly task: string } };
    readonly reply: Removed;
  };
  "GET /api/fleet/tasks/{task}/story": {
    readonly ask: { readonly path: { readonly task: string } };
    readonly reply: Story;
  };
  "POST /api/fleet/tasks/{task}/stop": {
    readonly ask: { readonly path: { readonly task: string }; readonly body: { readonly reason?: string | undefined } };
    readonly reply: Task;
  };
  "POST /api/fleet/tasks/{task}/retry": {
    readonly ask: { readonly path: { readonly task: string }; readonly body: { readonly reason?: string | undefined } };
    readonly reply: Task;
  };
  "POST /api/fleet/tasks/{task}/merge": {
    readonly ask: { readonly path: { readonly task: string }; readonly body: { readonly reason?: string | undefined } };
    readonly reply: MergedTask;
  };
  "POST /api/fleet/tasks/{task}/reject": {
    readonly ask: { readonly path: { readonly task: string }; readonly body: { readonly comment: string } };
    readonly reply: Task;
  };
  "GET /api/fleet/tasks/{task}/logs": {
    readonly ask: {
      readonly path: { readonly task: string };
      readonly query?: { readonly lines?: Word; readonly attempt?: Word };
    };
    readonly reply: Logs;
  };
  "STREAM /api/fleet/tasks/{task}/logs/follow": {
    readonly ask: {
      readonly path: { readonly task: string };
      readonly query?: { readonly lines?: Word; readonly attempt?: Word };
    };
    readonly reply: LogLine;
  };
  "STREAM /api/fleet/tasks/{task}/events": {
    readonly ask: { readonly path: { readonly task: string } };
    readonly reply: Event;
  };
  "STREAM /api/fleet/events": { readonly ask: { readonly query?: { readonly all?: Word } }; readonly reply: Event };
  "GET /api/fleet/events/recent": {
    readonly ask: { readonly query?: { readonly limit?: Word; readonly task?: Word } };
    readonly reply: { readonly items: Event[]; readonly nextCursor: string | null };
  };
  "GET /api/fleet/ps": {
    readonly ask: {
      readonly query?: {
        readonly all?: Word;
        readonly tenant?: Word;
        readonly host?: Word;
        readonly status?: Word;
        readonly orphans?: Word;
      };
    };
    readonly reply: Ps;
  };
  "GET /api/fleet/hosts": { readonly ask: {}; readonly reply: { readonly hosts: Host[] } };
  "GET /api/fleet/drift": {
    readonly ask: { readonly query?: { readonly product?: Word; readonly all?: Word } };
    readonly reply: drift_report;
  };
  "POST /api/fleet/drift/check": {
    readonly ask: { readonly body: { readonly product?: string | undefined } };
    readonly reply: LookAsked;
  };
  "POST /api/fleet/drift/{finding}/accept": {
    readonly ask: { readonly path: { readonly finding: string }; readonly body: { readonly reason: string } };
    readonly reply: {
      readonly finding_id: string;
      readonly short_id: string;
      readonly subject: string;
      readonly what: string;
      readonly product_id: string | null;
      readonly declared: string | null;
      readonly actual: string | null;
      readonly severity: "low" | "medium" | "high";
      readonly since: string;
      readonly seen_at: string;
      readonly command: string | null;
      readonly host: string | null;
      readonly status: "open" | "accepted" | "gone";
      readonly accepted: { readonly by: string; readonly reason: string; readonly at: string } | null;
    };
  };
  "GET /api/fleet/science": {
    readonly ask: { readonly query?: { readonly status?: Word } };
    readonly reply: science_index;
  };
  "POST /api/fleet/science/refresh": {
    readonly ask: { readonly body: { readonly product?: string | undefined } };
    readonly reply: LookAsked;
  };
  "POST /api/fleet/gc": {
    readonly ask: { readonly body: { readonly dryRun?: boolean | undefined; readonly product?: string | undefined } };
    readonly reply: Gc;
  };
  "GET /api/fleet/audit": {
    readonly ask: {
      readonly query?: {
        readonly cursor?: Word;
        readonly limit?: Word;
        readonly task?: Word;
        readonly since?: Word;
        readonly all?: Word;
        readonly operator?: Word;
        readonly act?: Word;
      };
    };
    readonly reply: { readonly items: AuditEntry[]; readonly nextCursor: string | null };
  };
  "GET /api/fleet/audit/export": {
    readonly ask: {
      readonly query?: {
        readonly cursor?: Word;
        readonly limit?: Word;
        readonly task?: Word;
        readonly since?: Word;
        readonly all?: Word;
        readonly until?: Word;
      };
    };
    readonly reply: { readonly items: AuditEntry[]; readonly nextCursor: string | null };
  };
  "GET /api/fleet/audit/verify": {
    readonly ask: { readonly query?: { readonly task?: Word } };
    readonly reply: AuditProof;
  };
  "POST /api/fleet/audit/checkpoint": { readonly ask: {}; readonly reply: AuditCheckpoint };
  "GET /api/fleet/invariants": { readonly ask: {}; readonly reply: Invariants };
  "GET /api/fleet/config": { readonly ask: { readonly query?: { readonly tenant?: Word } }; readonly reply: Config };
  "PUT /api/fleet/config/{key}": {
    readonly ask: {
      readonly path: { readonly key: string };
      readonly body: { readonly value: Recursive0; readonly tenant?: boolean | undefined };
    };
    readonly reply: Setting;
  };
  "DELETE /api/fleet/config/{key}": {
    readonly ask: { readonly path: { readonly key: string }; readonly query?: { readonly tenant?: Word } };
    readonly reply: Config;
  };
  "POST /api/fleet/config/reseal": { readonly ask: {}; readonly reply: Resealed };
  "POST /api/fleet/notifications/test": {
    readonly ask: { readonly body: { readonly waitSeconds?: number | undefined } };
    readonly reply: NotifyTest;
  };
  "GET /api/fleet/budgets": { readonly ask: { readonly query?: { readonly all?: Word } }; readonly reply: Budgets };
  "POST /api/fleet/budgets": { readonly ask: { readonly body: BudgetRequest }; readonly reply: Budgets };
  "GET /api/fleet/operators": {
    readonly ask: { readonly query?: { readonly cursor?: Word; readonly limit?: Word } };
    readonly reply: { readonly items: Operator[]; readonly nextCursor: string | null };
  };
  "POST /api/fleet/operators": {
    readonly ask: {
      readonly body: {
        readonly operator: string;
        readonly tenant?: string | undefined;
        readonly tier?: "observer" | "participant" | "builder" | "architect" | "sovereign" | undefined;
        readonly role?: ("admin" | "queue-operator" | "none") | undefined;
      };
    };
    readonly reply: Operator;
  };
  "POST /api/fleet/operators/{operator}/disable": {
    readonly ask: { readonly path: { readonly operator: string } };
    readonly reply: Operator;
  };
  "POST /api/fleet/operators/{operator}/enable": {
    readonly ask: { readonly path: { readonly operator: string } };
    readonly reply: Operator;
  };
  "GET /api/fleet/estop": { readonly ask: {}; readonly reply: Estops };
  "POST /api/fleet/estop": {
    readonly ask: {
      readonly body: {
        readonly scope: "agent" | "product" | "tenant" | "fleet";
        readonly subject?: string | undefined;
        readonly mode?: "park" | "freeze" | "abort" | undefined;
        readonly reason: string;
      };
    };
    readonly reply: Estops;
  };
  "POST /api/fleet/estop/release": {
    readonly ask: {
      readonly body: {
        readonly scope: "agent" | "product" | "tenant" | "fleet";
        readonly subject?: string | undefined;
        readonly reason?: string | undefined;
      };
    };
    readonly reply: Estops;
  };
  "GET /api/fleet/products": { readonly ask: {}; readonly reply: Products };
  "POST /api/fleet/products/{product}/kill": {
    readonly ask: { readonly path: { readonly product: string }; readonly body: { readonly reason: string } };
    readonly reply: Product;
  };
  "POST /api/fleet/products/{product}/release": {
    readonly ask: { readonly path: { readonly product: string } };
    readonly reply: Product;
  };
  "POST /api/fleet/plan": {
    readonly ask: {
      readonly body: {
        readonly budget?: number | undefined;
        readonly source?: "state" | "schedules" | undefined;
        readonly product?: string | undefined;
        readonly dryRun?: boolean | undefined;
        readonly asOf?: string | undefined;
      };
    };
    readonly reply: MadePlan;
  };
  "GET /api/fleet/plans": {
    readonly ask: { readonly query?: { readonly cursor?: Word; readonly limit?: Word } };
    readonly reply: { readonly items: PlanSummary[]; readonly nextCursor: string | null };
  };
  "GET /api/fleet/plans/{plan}": {
    readonly ask: { readonly path: { readonly plan: string } };
    readonly reply: MadePlan;
  };
  "POST /api/fleet/plans/{plan}/replay": {
    readonly ask: { readonly path: { readonly plan: string } };
    readonly reply: Replay;
  };
  "GET /api/fleet/orders": {
    readonly ask: {
      readonly query?: {
        readonly cursor?: Word;
        readonly limit?: Word;
        readonly product?: Word;
        readonly intent?: Word;
        readonly status?: Word;
        readonly plan?: Word;
        readonly batch?: Word;
      };
    };
    readonly reply: { readonly items: Order[]; readonly nextCursor: string | null };
  };
  "POST /api/fleet/orders": {
    readonly ask: {
      readonly body: {
        readonly productId: string;
        readonly intent: "validate" | "test" | "regenerate_report" | "gc_runs" | "drift_check" | "science_to_design";
        readonly inputs?: { readonly [name: string]: string | number | boolean } | undefined;
        readonly budget?:
          | {
              readonly max_actions?: number | undefined;
              readonly max_seconds?: number | undefined;
              readonly max_output_bytes?: number | undefined;
              readonly max_tokens?: number | undefined;
              readonly max_cost_usd?: number | undefined;
            }
          | undefined;
        readonly stopConditions?:
          | (
              "on_validation_fail" | "on_test_fail" | "on_missing_evidence" | "on_drift_detected" | "on_budget_exceeded"
            )[]
          | undefined;
        readonly priority?: number | undefined;
        readonly evidenceExpectations?: string[] | undefined;
      };
    };
    readonly reply: AddedOrder;
  };
  "POST /api/fleet/orders/run": {
    readonly ask: {
      readonly body: {
        readonly budget?: number | undefined;
        readonly product?: string | undefined;
        readonly dryRun?: boolean | undefined;
      };
    };
    readonly reply: Batch;
  };
  "GET /api/fleet/orders/{order}": {
    readonly ask: { readonly path: { readonly order: string } };
    readonly reply: Order;
  };
  "POST /api/fleet/orders/{order}/run": {
    readonly ask: {
      readonly path: { readonly order: string };
      readonly body: { readonly dryRun?: boolean | undefined };
    };
    readonly reply: Batch;
  };
  "GET /api/fleet/runs": {
    readonly ask: {
      readonly query?: {
        readonly cursor?: Word;
        readonly limit?: Word;
        readonly product?: Word;
        readonly intent?: Word;
        readonly status?: Word;
        readonly order?: Word;
        readonly collected?: Word;
      };
    };
    readonly reply: { readonly items: Run[]; readonly nextCursor: string | null };
  };
  "GET /api/fleet/runs/{run}": {
    readonly ask: { readonly path: { readonly run: string }; readonly query?: { readonly verify?: Word } };
    readonly reply: RunStory;
  };
  "GET /api/fleet/runs/{run}/artifacts/{name}": {
    readonly ask: { readonly path: { readonly run: string; readonly name: string } };
    readonly reply: Evidence;
  };
  "POST /api/fleet/runs/{run}/pin": {
    readonly ask: { readonly path: { readonly run: string }; readonly body: { readonly release?: string | undefined } };
    readonly reply: Run;
  };
  "POST /api/fleet/runs/{run}/unpin": {
    readonly ask: { readonly path: { readonly run: string } };
    readonly reply: Run;
  };
  "GET /api/fleet/schedules": { readonly ask: {}; readonly reply: Schedules };
  "POST /api/fleet/schedules/{product}/pause": {
    readonly ask: { readonly path: { readonly product: string }; readonly body: { readonly reason: string } };
    readonly reply: Schedule;
  };
  "POST /api/fleet/schedules/{product}/resume": {
    readonly ask: { readonly path: { readonly product: string } };
    readonly reply: Schedule;
  };
  "POST /api/fleet/schedules/{product}/run": {
    readonly ask: { readonly path: { readonly product: string } };
    readonly reply: ScheduleRun;
  };
  "POST /api/fleet/products/{product}/pushed": {
    readonly ask: { readonly path: { readonly product: string }; readonly body: { readonly sha?: string | undefined } };
    readonly reply: ScheduleRun;
  };
  "POST /api/fleet/login-links": { readonly ask: {}; readonly reply: LoginLink };
  "GET /api/fleet/keys": { readonly ask: {}; readonly reply: { readonly keys: SigningKey[] } };
  "POST /api/fleet/keys/rotate": {
    readonly ask: { readonly body: { readonly overlapHours?: number | undefined } };
    readonly reply: { readonly keys: SigningKey[] };
  };
  "POST /api/fleet/keys/{key}/revoke": {
    readonly ask: { readonly path: { readonly key: string } };
    readonly reply: { readonly keys: SigningKey[] };
  };
  "GET /api/fleet/tokens": {
    readonly ask: { readonly query?: { readonly cursor?: Word; readonly limit?: Word; readonly over?: Word } };
    readonly reply: { readonly items: Token[]; readonly nextCursor: string | null };
  };
  "POST /api/fleet/tokens": {
    readonly ask: {
      readonly body: {
        readonly operator: string;
        readonly tenant: string;
        readonly tier: "observer" | "participant" | "builder" | "architect" | "sovereign";
        readonly role?: "admin" | "queue-operator" | undefined;
        readonly ttlMinutes?: number | undefined;
        readonly name?: string | undefined;
      };
    };
    readonly reply: IssuedToken;
  };
  "POST /api/fleet/tokens/{token}/revoke": {
    readonly ask: {
      readonly path: { readonly token: string };
      readonly body: { readonly issuer?: string | undefined };
    };
    readonly reply: RevokedToken;
  };
}

type TaskBudget = {
  readonly tokens?: number | undefined;
  readonly cost?: number | undefined;
  readonly minutes?: number | undefined;
};

type Task = {
  readonly id: string;
  readonly shortId: string;
  readonly tenantId: string;
  readonly operatorId: string;
  readonly title: string;
  readonly description: string;
  readonly repository: string;
  readonly baseBranch: string;
  readonly branch: string;
  readonly agentType: "claude_code" | "codex" | "gemini" | "opencode" | "command" | "stub";
  readonly model: string | null;
  readonly routingReason: string | null;
  readonly taskType: "bug_fix" | "feature" | "refactor" | "review" | "docs";
  readonly status:
    | "proposed"
    | "spawning"
    | "running"
    | "pr_created"
    | "reviewing"
    | "ready"
    | "merged"
    | "rejected"
    | "failed"
    | "retrying"
    | "abandoned"
    | "cancelled";
  readonly condition:
    "ok" | "needs_input" | "waiting_quota" | "waiting_slot" | "operator_attached" | "paused" | "doubtful";
  readonly conditionDetail: { readonly [name: string]: unknown } | null;
  readonly conditionSince: string | null;
  readonly waitingFor: string | null;
  readonly dueAt: string | null;
  readonly host: string | null;
  readonly runtime: "tmux";
  readonly session: string | null;
  readonly version: number;
  readonly attempt: number;
  readonly retryCount: number;
  readonly maxRetries: number;
  readonly timeoutMinutes: number;
  readonly prNumber: number | null;
  readonly prUrl: string | null;
  readonly headSha: string | null;
  readonly ciStatus: "none" | "pending" | "passing" | "failing";
  readonly failure: FailureSummary | null;
  readonly spend: Spend;
  readonly budget: Spend;
  readonly createdAt: string;
  readonly spawnedAt: string | null;
  readonly completedAt: string | null;
  readonly updatedAt: string;
};

type FailureSummary = {
  readonly class:
    | "agent_error"
    | "environment_error"
    | "provider_limit"
    | "provider_outage"
    | "policy_refusal"
    | "review_rejected"
    | "ci_failed"
    | "ci_flake"
    | "host_lost"
    | "budget_exceeded"
    | "no_evidence"
    | "timeout"
    | "stall";
  readonly reason: string;
  readonly summary: string;
  readonly attempt: number;
  readonly exitCode: number | null;
  readonly signal: string | null;
};

type Spend = { readonly tokens: number | null; readonly cost: number | null; readonly minutes: number | null };

type Estop = {
  readonly scope: "agent" | "product" | "tenant" | "fleet";
  readonly subject: string;
  readonly tenantId: string;
  readonly mode: "park" | "freeze" | "abort";
  readonly reason: string;
  readonly by: string | null;
  readonly at: string | null;
};

type TaskDetail = {
  readonly id: string;
  readonly shortId: string;
  readonly tenantId: string;
  readonly operatorId: string;
  readonly title: string;
  readonly description: string;
  readonly repository: string;
  readonly baseBranch: string;
  readonly branch: string;
  readonly agentType: "claude_code" | "codex" | "gemini" | "opencode" | "command" | "stub";
  readonly model: string | null;
  readonly routingReason: string | null;
  readonly taskType: "bug_fix" | "feature" | "refactor" | "review" | "docs";
  readonly status:
    | "proposed"
    | "spawning"
    | "running"
    | "pr_created"
    | "reviewing"
    | "ready"
    | "merged"
    | "rejected"
    | "failed"
    | "retrying"
    | "abandoned"
    | "cancelled";
  readonly condition:
    "ok" | "needs_input" | "waiting_quota" | "waiting_slot" | "operator_attached" | "paused" | "doubtful";
  readonly conditionDetail: { readonly [name: string]: unknown } | null;
  readonly conditionSince: string | null;
  readonly waitingFor: string | null;
  readonly dueAt: string | null;
  readonly host: string | null;
  readonly runtime: "tmux";
  readonly session: string | null;
  readonly version: number;
  readonly attempt: number;
  readonly retryCount: number;
  readonly maxRetries: number;
  readonly timeoutMinutes: number;
  readonly prNumber: number | null;
  readonly prUrl: string | null;
  readonly headSha: string | null;
  readonly ciStatus: "none" | "pending" | "passing" | "failing";
  readonly failure: FailureSummary | null;
  readonly spend: Spend;
  readonly budget: Spend;
  readonly createdAt: string;
  readonly spawnedAt: string | null;
  readonly completedAt: string | null;
  readonly updatedAt: string;
  readonly why: string;
  readonly next: string;
  readonly waits: Wait | null;
};

type Wait = { readonly why: string; readonly position: number | null };

type Story = {
  readonly task: Task;
  readonly why: string;
  readonly next: string;
  readonly stopped: Hold | null;
  readonly waits: Wait | null;
  readonly timeline: TimelineEntry[];
  readonly attempts: Attempt[];
  readonly agent: Agent | null;
  readonly pullRequest: PullRequest | null;
  readonly ci: Check[];
  readonly reviews: Review[];
  readonly done: Criterion[];
  readonly learnt: string[];
};

type Hold = {
  readonly scope: "agent" | "product" | "tenant" | "fleet";
  readonly subject: string;
  readonly mode: "park" | "freeze" | "abort";
  readonly reason: string;
};

type TimelineEntry = {
  readonly at: string;
  readonly status:
    | "proposed"
    | "spawning"
    | "running"
    | "pr_created"
    | "reviewing"
    | "ready"
    | "merged"
    | "rejected"
    | "failed"
    | "retrying"
    | "abandoned"
    | "cancelled"
    | null;
  readonly attempt: number | null;
  readonly actor: string | null;
  readonly text: string;
  readonly tookMs: number | null;
};

type Attempt = {
  readonly attempt: number;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly tookMs: number | null;
  readonly outcome: string;
  readonly failure: FailureSummary | null;
};

type Agent = {
  readonly name: string;
  readonly kind: "task" | "roster";
  readonly tenantId: string;
  readonly tenant_id: string;
  readonly host: string | null;
  readonly runtime: "tmux";
  readonly agentType: string;
  readonly model: string | null;
  readonly taskId: string | null;
  readonly title: string | null;
  readonly status:
    | "proposed"
    | "spawning"
    | "running"
    | "pr_created"
    | "reviewing"
    | "ready"
    | "merged"
    | "rejected"
    | "failed"
    | "retrying"
    | "abandoned"
    | "cancelled"
    | null;
  readonly condition:
    "ok" | "needs_input" | "waiting_quota" | "waiting_slot" | "operator_attached" | "paused" | "doubtful" | null;
  readonly since: string | null;
  readonly systemd: string | null;
  readonly pane: "alive" | "dead" | "unknown";
  readonly pid: number | null;
  readonly idleMs: number | null;
  readonly heartbeatAgeMs: number | null;
  readonly health: "healthy" | "stale" | "unknown";
  readonly attempt: number;
  readonly maxRetries: number | null;
  readonly spend: Spend;
  readonly prNumber: number | null;
  readonly ciStatus: string | null;
  readonly stopped: Hold | null;
  readonly waits: Wait | null;
  readonly drift: string | null;
  readonly bootEnable: string | null;
  readonly observedAt: string | null;
};

type PullRequest = {
  readonly number: number;
  readonly url: string | null;
  readonly state: "open" | "merged" | "closed";
  readonly title: string;
  readonly headSha: string | null;
  readonly additions: number | null;
  readonly deletions: number | null;
  readonly files: number | null;
};

type Check = {
  readonly name: string;
  readonly state: "pending" | "passing" | "failing";
  readonly tookMs: number | null;
};

type Review = {
  readonly reviewer: string;
  readonly verdict: "approve" | "request_changes" | "comment" | "pending" | "missing";
  readonly summary: string;
  readonly findings: {
    readonly file: string | null;
    readonly line: number | null;
    readonly severity: string;
    readonly message: string;
  }[];
  readonly tookMs: number | null;
};

type Criterion = { readonly name: string; readonly state: "holds" | "open" | "fails"; readonly evidence: string };

type MergedTask = {
  readonly id: string;
  readonly shortId: string;
  readonly tenantId: string;
  readonly operatorId: string;
  readonly title: string;
  readonly description: string;
  readonly repository: string;
  readonly baseBranch: string;
  readonly branch: string;
  readonly agentType: "claude_code" | "codex" | "gemini" | "opencode" | "command" | "stub";
  readonly model: string | null;
  readonly routingReason: string | null;
  readonly taskType: "bug_fix" | "feature" | "refactor" | "review" | "docs";
  readonly status:
    | "proposed"
    | "spawning"
    | "running"
    | "pr_created"
    | "reviewing"
    | "ready"
    | "merged"
    | "rejected"
    | "failed"
    | "retrying"
    | "abandoned"
    | "cancelled";
  readonly condition:
    "ok" | "needs_input" | "waiting_quota" | "waiting_slot" | "operator_attached" | "paused" | "doubtful";
  readonly conditionDetail: { readonly [name: string]: unknown } | null;
  readonly conditionSince: string | null;
  readonly waitingFor: string | null;
  readonly dueAt: string | null;
  readonly host: string | null;
  readonly runtime: "tmux";
  readonly session: string | null;
  readonly version: number;
  readonly attempt: number;
  readonly retryCount: number;
  readonly maxRetries: number;
  readonly timeoutMinutes: number;
  readonly prNumber: number | null;
  readonly prUrl: string | null;
  readonly headSha: string | null;
  readonly ciStatus: "none" | "pending" | "passing" | "failing";
  readonly failure: FailureSummary | null;
  readonly spend: Spend;
  readonly budget: Spend;
  readonly createdAt: string;
  readonly spawnedAt: string | null;
  readonly completedAt: string | null;
  readonly updatedAt: string;
  readonly bringHome: string | null;
};

type Removed = {
  readonly id: string;
  readonly removed: string[];
  readonly snapshot: string | null;
  readonly restore: string | null;
};

type Logs = {
  readonly taskId: string;
  readonly attempt: number;
  readonly lines: string[];
  readonly truncated: boolean;
};

type LogLine = { readonly attempt: number; readonly text: string };

type Event = {
  readonly specversion: "1.0";
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject?: string | undefined;
  readonly time: string;
  readonly datacontenttype?: "application/json" | undefined;
  readonly data: { readonly [name: string]: unknown };
};

type Ps = {
  readonly at: string;
  readonly agents: Agent[];
  readonly hosts: Host[];
  readonly orphans: Orphan[];
  readonly stops: Estop[];
  readonly missing: string[];
};

type Host = {
  readonly id: string;
  readonly name: string;
  readonly state: "up" | "draining" | "lost";
  readonly slots: number;
  readonly free: number;
  readonly load: number | null;
  readonly diskFreeBytes: number | null;
  readonly version: string | null;
  readonly seenAgoMs: number | null;
};

type Orphan = {
  readonly tenantId: string | null;
  readonly tenant_id: string | null;
  readonly host: string;
  readonly session: string | null;
  readonly pid: number | null;
  readonly why: string;
};

type drift_report = {
  readonly schema_version: 1;
  readonly tenant_id: string;
  readonly product_id: string | null;
  readonly looked_at: string | null;
  readonly counts: { readonly open: number; readonly high: number; readonly medium: number; readonly low: number };
  readonly findings: {
    readonly finding_id: string;
    readonly short_id: string;
    readonly subject: string;
    readonly what: string;
    readonly product_id: string | null;
    readonly declared: string | null;
    readonly actual: string | null;
    readonly severity: "low" | "medium" | "high";
    readonly since: string;
    readonly seen_at: string;
    readonly command: string | null;
    readonly host: string | null;
    readonly status: "open" | "accepted" | "gone";
    readonly accepted: { readonly by: string; readonly reason: string; readonly at: string } | null;
  }[];
  readonly not_checked: { readonly what: string; readonly why: string }[];
};

type LookAsked = { readonly look_id: string; readonly asked_at: string };

type science_index = {
  readonly schema_version: 1;
  readonly tenant_id: string;
  readonly generated_at: string;
  readonly looked_at: string | null;
  readonly counts: {
    readonly proposed: number;
    readonly running: number;
    readonly validated: number;
    readonly rejected: number;
    readonly handed_off: number;
    readonly errors: number;
  };
  readonly dossiers: {
    readonly product_id: string;
    readonly path: string;
    readonly dossier_id: string;
    readonly topic: string;
    readonly status: "proposed" | "running" | "validated" | "rejected" | "handed_off";
    readonly file_status: "proposed" | "running" | "validated" | "rejected" | "handed_off";
    readonly owner: string;
    readonly created_at: string | null;
    readonly age_days: number;
    readonly status_since: string;
    readonly design: { readonly run_id: string; readonly artifact: string } | null;
    readonly work_order: string | null;
    readonly stuck: string | null;
  }[];
  readonly errors: {
    readonly product_id: string;
    readonly path: string;
    readonly dossier_id: string | null;
    readonly commit: string;
    readonly problems: { readonly line: number | null; readonly message: string }[];
  }[];
  readonly not_checked: { readonly what: string; readonly why: string }[];
};

type work_order = {
  readonly job_id: string;
  readonly product_id: string;
  readonly intent: "validate" | "test" | "regenerate_report" | "gc_runs" | "drift_check" | "science_to_design";
  readonly inputs: { readonly [name: string]: string | number | boolean };
  readonly budget: {
    readonly max_actions: number;
    readonly max_seconds?: number | undefined;
    readonly max_output_bytes?: number | undefined;
    readonly max_tokens?: number | undefined;
    readonly max_cost_usd?: number | undefined;
  };
  readonly stop_conditions: (
    "on_validation_fail" | "on_test_fail" | "on_missing_evidence" | "on_drift_detected" | "on_budget_exceeded"
  )[];
  readonly priority: number;
  readonly evidence_expectations: string[];
  readonly created_at: string;
  readonly status: "pending" | "running" | "completed" | "failed" | "skipped";
  readonly result: {
    readonly exit_code: number | null;
    readonly started_at: string | null;
    readonly completed_at: string;
    readonly duration_seconds: number;
    readonly evidence_produced: string[];
    readonly error_message: string | null;
  } | null;
  readonly plan_id: string | null;
  readonly policy_refs: string[];
};

type Gc = {
  readonly dryRun: boolean;
  readonly graceMinutes: number;
  readonly hosts: HostGcReport[];
  readonly waiting: string[];
};

type HostGcReport = {
  readonly host: string;
  readonly at: string;
  readonly dryRun: boolean;
  readonly gone: {
    readonly kind: "run" | "workspace" | "branch" | "snapshot" | "mirror" | "socket" | "attempt";
    readonly subject: string;
    readonly product: string | null;
    readonly path: string;
    readonly bytes: number;
    readonly reason: string;
    readonly outcome: "would" | "put-aside" | "removed" | "failed";
    readonly restore: string | null;
    readonly why: string | null;
  }[];
  readonly swept: {
    readonly kind: "run" | "workspace" | "branch" | "snapshot" | "mirror" | "socket" | "attempt";
    readonly subject: string;
    readonly path: string;
    readonly bytes: number;
  }[];
  readonly kept: {
    readonly kind: "run" | "workspace" | "branch" | "snapshot" | "mirror" | "socket" | "attempt";
    readonly reason: string;
    readonly count: number;
  }[];
  readonly more: number;
};

type AuditEntry = {
  readonly chain: string;
  readonly seq: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly detail: string;
  readonly prev_hash: string;
  readonly hash: string;
  readonly tenant_id: string;
  readonly operator_id: string;
  readonly task_id: string | null;
};

type AuditProof = {
  readonly ok: boolean;
  readonly chains: number;
  readonly entries: number;
  readonly broken: { readonly taskId: string; readonly seq: number; readonly why: string }[];
  readonly checkpoint: {
    readonly id: number;
    readonly at: string;
    readonly chains: number;
    readonly broken: { readonly id: number; readonly why: string }[];
  } | null;
};

type AuditCheckpoint = { readonly id: number; readonly at: string; readonly chains: number; readonly keyId: string };

type Invariants = {
  readonly ok: boolean;
  readonly at: string;
  readonly invariants: Invariant[];
  readonly checks: HouseCheck[];
  readonly alerts: Alert[];
};

type Invariant = {
  readonly id: string;
  readonly statement: string;
  readonly holds: boolean | null;
  readonly violations: string[];
};

type HouseCheck = {
  readonly name: string;
  readonly everyMs: number;
  readonly lastGoodAt: string | null;
  readonly tookMs: number;
  readonly runs: boolean;
  readonly result: { readonly [name: string]: unknown };
};

type Alert = {
  readonly kind: string;
  readonly key: string;
  readonly summary: string;
  readonly since: string;
  readonly episode: number;
};

type Config = { readonly tenant: boolean; readonly settings: Setting[] };

type Setting = {
  readonly key: string;
  readonly sealed: boolean;
  readonly value: Recursive0;
  readonly fingerprint: string | null;
  readonly keyId: string | null;
  readonly since: string;
  readonly by: string;
};

type Recursive0 = string | number | boolean | null | Recursive0[] | { readonly [name: string]: Recursive0 };

type Resealed = {
  readonly keyId: string;
  readonly settings: number;
  readonly signingKeys: number;
  readonly left: { readonly keyId: string; readonly settings: number; readonly signingKeys: number }[];
};

type NotifyTest = {
  readonly chosenBy: "operator" | "tenant" | "fleet";
  readonly deliveries: {
    readonly id: string;
    readonly channel: string;
    readonly status: "pending" | "delivered" | "failed" | "merged";
    readonly tries: number;
    readonly error: string | null;
    readonly leads: boolean;
  }[];
};

type Budgets = { readonly budgets: Budget[] };

type Budget = {
  readonly tokens: number | null;
  readonly cost: number | null;
  readonly minutes: number | null;
  readonly dailyTokens: number | null;
  readonly dailyCost: number | null;
  readonly dailyTasks: number | null;
  readonly tenantId: string;
  readonly operatorId: string | null;
  readonly used: {
    readonly tokens: number;
    readonly cost: number;
    readonly minutes: number | null;
    readonly tasks: number | null;
  };
  readonly today: {
    readonly tokens: number;
    readonly cost: number;
    readonly minutes: number | null;
    readonly tasks: number | null;
  };
  readonly updatedBy: string;
  readonly updatedAt: string;
};

type BudgetRequest = {
  readonly tokens?: (number | null) | undefined;
  readonly cost?: (number | null) | undefined;
  readonly minutes?: (number | null) | undefined;
  readonly dailyTokens?: (number | null) | undefined;
  readonly dailyCost?: (number | null) | undefined;
  readonly dailyTasks?: (number | null) | undefined;
  readonly tenant?: string | undefined;
  readonly operator?: string | undefined;
};

type Operator = {
  readonly id: string;
  readonly tenant: string;
  readonly tier: "observer" | "participant" | "builder" | "architect" | "sovereign";
  readonly role: "admin" | "queue-operator" | null;
  readonly disabledAt: string | null;
};

type Estops = { readonly stops: Estop[] };

type Products = { readonly products: Product[] };

type Product = {
  readonly id: string;
  readonly name: string;
  readonly tenantId: string;
  readonly repository: string;
  readonly baseBranch: string;
  readonly owner: string | null;
  readonly status: "bootstrap" | "active" | "pending" | "development" | "planned" | "deprecated" | "archived";
  readonly criticality: "high" | "medium" | "low";
  readonly slaTier: number;
  readonly enabled: boolean;
  readonly commands: ("setup" | "validate" | "test")[];
  readonly planned: boolean;
  readonly stopped: {
    readonly by: "fleet.yaml" | "operator";
    readonly reason: string;
    readonly who: string | null;
    readonly at: string | null;
    readonly scope: "agent" | "product" | "tenant" | "fleet";
    readonly mode: "park" | "freeze" | "abort";
  } | null;
  readonly lastRuns: {
    readonly intent: "validate" | "test" | "regenerate_report" | "gc_runs" | "drift_check" | "science_to_design";
    readonly runId: string;
    readonly status: "success" | "failed";
    readonly failure: string | null;
    readonly endedAt: string;
  }[];
  readonly next: string | null;
};

type MadePlan = {
  readonly plan: plan;
  readonly dryRun: boolean;
  readonly stops: Estop[];
  readonly stored: number;
  readonly standings: {
    readonly jobId: string;
    readonly state: "planned" | "open" | "done";
    readonly orderId: string;
  }[];
};

type plan = {
  readonly schema_version: 1;
  readonly plan_id: string;
  readonly tenant_id: string;
  readonly source: "state" | "schedules";
  readonly as_of: string;
  readonly wanted: number;
  readonly candidates: number;
  readonly left_out: { readonly disabled: number; readonly stopped: number; readonly status: number };
  readonly orders: {
    readonly order: work_order;
    readonly score: number;
    readonly reasons: string[];
    readonly subject: string;
    readonly schedule_id: string | null;
    readonly slot_at: string | null;
  }[];
  readonly input_sha256: string;
  readonly output_sha256: string;
};

type PlanSummary = {
  readonly id: string;
  readonly operatorId: string;
  readonly source: "state" | "schedules";
  readonly asOf: string;
  readonly wanted: number;
  readonly candidates: number;
  readonly inputSha256: string;
  readonly outputSha256: string;
  readonly createdAt: string;
};

type Replay = {
  readonly planId: string;
  readonly holds: boolean;
  readonly checks: { readonly what: string; readonly holds: boolean; readonly why: string | null }[];
};

type Order = {
  readonly id: string;
  readonly shortId: string;
  readonly operatorId: string;
  readonly productId: string;
  readonly intent: "validate" | "test" | "regenerate_report" | "gc_runs" | "drift_check" | "science_to_design";
  readonly subject: string;
  readonly inputs: { readonly [name: string]: string | number | boolean };
  readonly budget: {
    readonly max_actions: number;
    readonly max_seconds?: number | undefined;
    readonly max_output_bytes?: number | undefined;
    readonly max_tokens?: number | undefined;
    readonly max_cost_usd?: number | undefined;
  };
  readonly stopConditions: (
    "on_validation_fail" | "on_test_fail" | "on_missing_evidence" | "on_drift_detected" | "on_budget_exceeded"
  )[];
  readonly evidenceExpectations: string[];
  readonly policyRefs: string[];
  readonly priority: number;
  readonly score: number;
  readonly reasons: string[];
  readonly status: "pending" | "running" | "completed" | "failed" | "skipped";
  readonly reason: string | null;
  readonly source: string;
  readonly planId: string | null;
  readonly scheduleId: string | null;
  readonly slotAt: string | null;
  readonly batchId: string | null;
  readonly requestedAt: string | null;
  readonly attempt: number;
  readonly crashes: number;
  readonly host: string | null;
  readonly result: {
    readonly exit_code: number | null;
    readonly started_at: string | null;
    readonly completed_at: string;
    readonly duration_seconds: number;
    readonly evidence_produced: string[];
    readonly error_message: string | null;
  } | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly completedAt: string | null;
};

type AddedOrder = {
  readonly id: string;
  readonly shortId: string;
  readonly operatorId: string;
  readonly productId: string;
  readonly intent: "validate" | "test" | "regenerate_report" | "gc_runs" | "drift_check" | "science_to_design";
  readonly subject: string;
  readonly inputs: { readonly [name: string]: string | number | boolean };
  readonly budget: {
    readonly max_actions: number;
    readonly max_seconds?: number | undefined;
    readonly max_output_bytes?: number | undefined;
    readonly max_tokens?: number | undefined;
    readonly max_cost_usd?: number | undefined;
  };
  readonly stopConditions: (
    "on_validation_fail" | "on_test_fail" | "on_missing_evidence" | "on_drift_detected" | "on_budget_exceeded"
  )[];
  readonly evidenceExpectations: string[];
  readonly policyRefs: string[];
  readonly priority: number;
  readonly score: number;
  readonly reasons: string[];
  readonly status: "pending" | "running" | "completed" | "failed" | "skipped";
  readonly reason: string | null;
  readonly source: string;
  readonly planId: string | null;
  readonly scheduleId: string | null;
  readonly slotAt: string | null;
  readonly batchId: string | null;
  readonly requestedAt: string | null;
  readonly attempt: number;
  readonly crashes: number;
  readonly host: string | null;
  readonly result: {
    readonly exit_code: number | null;
    readonly started_at: string | null;
    readonly completed_at: string;
    readonly duration_seconds: number;
    readonly evidence_produced: string[];
    readonly error_message: string | null;
  } | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly completedAt: string | null;
  readonly repeated: boolean;
};

type Batch = {
  readonly dryRun: boolean;
  readonly batchId: string | null;
  readonly orders: {
    readonly order: Order;
    readonly workingCopy: { readonly repository: string; readonly branch: string };
    readonly commands: { readonly step: "setup" | "validate" | "test"; readonly argv: string[] }[];
    readonly evidence: string[];
  }[];
  readonly refused: { readonly productId: string; readonly reason: string }[];
};

type Run = {
  readonly id: string;
  readonly shortId: string;
  readonly orderId: string;
  readonly operatorId: string;
  readonly productId: string;
  readonly intent: "validate" | "test" | "regenerate_report" | "gc_runs" | "drift_check" | "science_to_design";
  readonly attempt: number;
  readonly host: string | null;
  readonly status: "in_progress" | "success" | "failed" | "cancelled";
  readonly headSha: string | null;
  readonly exitCode: number | null;
  readonly failure: string | null;
  readonly message: string | null;
  readonly transient: boolean;
  readonly pinned: boolean;
  readonly release: string | null;
  readonly tests: {
    readonly total: number;
    readonly passed: number;
    readonly failed: number;
    readonly errors: number;
    readonly skipped: number;
    readonly seconds: number;
    readonly failedNames: string[];
    readonly files: string[];
  } | null;
  readonly dir: string | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly seconds: number | null;
  readonly collectedAt: string | null;
};

type RunStory = {
  readonly run: Run;
  readonly order: Order;
  readonly summary: { readonly [name: string]: unknown };
  readonly artifacts: {
    readonly name: string;
    readonly mediaType: string;
    readonly sizeBytes: number;
    readonly sha256: string;
  }[];
  readonly tries: Run[];
  readonly verified: Verified | null;
};

type Verified = {
  readonly ok: boolean;
  readonly files: number;
  readonly disk: boolean;
  readonly broken: { readonly name: string; readonly where: "database" | "disk"; readonly why: string }[];
};

type Evidence = {
  readonly name: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly text: string | null;
  readonly base64: string | null;
};

type Schedules = {
  readonly at: string;
  readonly stops: Estop[];
  readonly schedules: Schedule[];
  readonly strays: { readonly id: string; readonly what: string }[];
  readonly differences: number;
};

type Schedule = {
  readonly product: string;
  readonly standing: "on" | "paused" | "disabled" | "invalid";
  readonly cadence: "hourly" | "daily" | "weekly" | "manual" | "on_push" | null;
  readonly at: string | null;
  readonly every: number | null;
  readonly jobs: { readonly intent: string; readonly priority: number }[];
  readonly enabled: boolean;
  readonly paused: { readonly by: string; readonly at: string; readonly reason: string } | null;
  readonly lastSlot: string | null;
  readonly lastRun: string | null;
  readonly lastOutcome: string | null;
  readonly next: string | null;
  readonly pushedAt: string | null;
  readonly file: string;
  readonly baseBranch: string | null;
  readonly problems: { readonly path: string; readonly message: string }[];
  readonly differences: string[];
};

type ScheduleRun = {
  readonly product: string;
  readonly outcome: string;
  readonly orders: { readonly id: string; readonly intent: string; readonly priority: number }[];
};

type LoginLink = { readonly url: string };

type SigningKey = {
  readonly kid: string;
  readonly standing: "signs" | "verifies" | "retired" | "revoked";
  readonly since: string;
  readonly until: string | null;
  readonly revokedAt: string | null;
};

type Token = {
  readonly id: string;
  readonly operator: string;
  readonly tenant: string;
  readonly tier: "observer" | "participant" | "builder" | "architect" | "sovereign";
  readonly role: "admin" | "queue-operator" | null;
  readonly name: string;
  readonly purpose: "access" | "session";
  readonly standing: "valid" | "expired" | "revoked";
  readonly issuedBy: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly revokedBy: string | null;
  readonly revokedAt: string | null;
};

type IssuedToken = { readonly token: string; readonly id: string; readonly expiresAt: string };

type RevokedToken = { readonly id: string; readonly issuer: string };
