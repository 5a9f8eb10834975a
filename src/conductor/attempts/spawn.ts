/** Asking for a task: admitted and stored together with its hint, or refused with the reason. */
import { agentCli } from "../../agents/types/index.ts";
import { spawnQueue } from "../../../queues/spawn.ts";
import { branchFor } from "../../domain/task/branch.ts";
import { FleetError, SpawnDeniedError } from "../../domain/errors.ts";
import { taskEvent } from "../../domain/notify/event.ts";
import type { Operator } from "../../domain/operator.ts";
import { findProduct } from "../../domain/settings/settings.ts";
import type { SpawnRequest } from "../../domain/task/spawn.ts";
import type { Task } from "../../domain/task/task.ts";
import { createHint } from "../../store/outbox.ts";
import { admitTask, getTask, type NewTask } from "../../store/tasks.ts";
import type { Fleet } from "../fleet.ts";
import { assertNotStoppedAt } from "../products/kill-switches.ts";
import { CapReachedError } from "../../domain/budget.ts";

/** The new task, or (`repeated`) the one that an earlier request with the same key created. */
export interface SpawnResult {
  readonly task: Task;
  readonly repeated: boolean;
}

/**
 * Throws SpawnDeniedError at the tier's limit, CapReachedError at the limit of a budget or daily cap, "product-stopped" or
 * "stopped" under a kill switch, "idempotency-key-reused" when the key came with another request, and the forge's error for a
 * repository that it cannot use.
 */
export async function requestSpawn(
  fleet: Fleet,
  by: Operator,
  request: SpawnRequest,
  idempotencyKey?: string,
): Promise<SpawnResult> {
  assertComplete(request);
  const base = await resolveBase(fleet, request);
  await assertNotStoppedAt(fleet, by.tenantId, base.repository);
  const task = newTask(fleet, by, { ...request, ...base }, idempotencyKey);
  const limit = fleet.settings.tiers[by.tier];
  const event = taskEvent("fleet.task.proposed", {
    task: { ...task, attempt: 0, version: 1, prUrl: null },
    from: null,
    to: "proposed",
    actor: by.id,
    at: fleet.clock(),
  });
  const hints = [createHint(spawnQueue, { taskId: task.id, epoch: 1 })];

  const { outcome, held, cap, stored } = await fleet.store.as(by, async (tx) => {
    const admission = await admitTask(tx, task, { limit, hints, event });
    const found = admission.taskId ? await getTask(tx, admission.taskId) : undefined;
    return { ...admission, stored: found };
  });
  if (outcome === "key_reused") {
    throw new FleetError("idempotency-key-reused", "This Idempotency-Key was used for another request. Use a new one.");
  }
  if (outcome === "unknown_operator") {
    throw new FleetError("unauthenticated", `Operator ${by.id} is not known here. Request a new token.`);
  }
  if (cap) throw new CapReachedError(cap, fleet.clock());
  if (!stored) throw new SpawnDeniedError(limit, held, by.tier);
  if (outcome === "admitted") fleet.kickRelay();
  return { task: stored, repeated: outcome === "repeated" };
}

type ResolvedRequest = SpawnRequest & { readonly baseBranch: string };

/** The repository and branch to start from. A repository on this machine is checked now, so that a wrong name fails at once. */
async function resolveBase(
  fleet: Fleet,
  request: SpawnRequest,
): Promise<Pick<ResolvedRequest, "repository" | "baseBranch">> {
  const address = findProduct(fleet.settings, request.repository)?.repository ?? request.repository;
  const forge = fleet.forges.of(address);
  const named = await forge.identify(address);
  if (named.kind === "url") return { repository: named.repository, baseBranch: request.baseBranch ?? "main" };
  const repository = await forge.ensure(named.repository);
  const baseBranch = request.baseBranch ?? repository.defaultBranch;
  await forge.headOf(repository, baseBranch);
  return { repository: named.repository, baseBranch };
}

/** Refuses an agent type that cannot be started when the task is requested, not after an hour in a queue. */
export function assertAgentSupported({ agentType, command, script, model }: SpawnRequest): void {
  const argv = agentCli(agentType).argv({ command, script, model });
  if (agentType === "command" || !("refused" in argv)) return;
  throw new FleetError(
    "not-supported",
    `The agent cannot be started: ${argv.refused}. An alternative: --agent-type command --command "./your-agent.sh"`,
    { agentType },
  );
}

function assertComplete(request: SpawnRequest): void {
  if (request.agentType === "command" && !request.command) {
    throw new FleetError(
      "invalid-input",
      "Agent type command requires a program to run: --command <program> [arguments]",
    );
  }
}

function newTask(fleet: Fleet, by: Operator, request: ResolvedRequest, idempotencyKey: string | undefined): NewTask {
  const id = fleet.newId();
  const title = request.title ?? firstLine(request.description);
  return {
    id,
    tenantId: by.tenantId,
    operatorId: by.id,
    agentType: request.agentType,
    model: request.model ?? modelFor(fleet, request),
    routingReason: request.model ? "requested" : "routing table",
    taskType: request.taskType,
    title,
    description: request.description,
    repository: request.repository,
    baseBranch: request.baseBranch,
    branch: request.branch ?? branchFor(id, title),
    maxRetries: request.maxRetries,
    timeoutMinutes: request.timeoutMinutes,
    ...(request.budget ? { budget: request.budget } : {}),
    metadata: {
      workspaceKind: request.workspace,
      ...(request.command ? { command: request.command } : {}),
      ...(request.script ? { script: request.script } : {}),
      ...(request.acceptance ? { acceptance: request.acceptance } : {}),
    },
    idempotencyKey: idempotencyKey ?? null,
    requestHash: fleet.sha256(JSON.stringify(request)),
    traceId: null,
  };
}

function firstLine(description: string): string {
  return (description.split("\n")[0] ?? "").slice(0, 200).toWellFormed().trim() || "task";
}

/** The model of the first entry in the routing table for this task type that has the requested agent type. */
function modelFor(fleet: Fleet, request: SpawnRequest): string | null {
  const route = fleet.settings.routing[request.taskType]?.find(({ agentType }) => agentType === request.agentType);
  return route?.model ?? null;
}
