/** Everything that may be refused or fail, in one table. Status, exit code and retrying follow from it; nothing else decides them. */
import { z } from "zod";

/**
 * `status`: HTTP. `exit`: of the CLI (1 failure, 2 usage, 3 not found or denied, 4 not verified).
 * `retry`: true when the world will mend it (BullMQ backs off), false when the asker must (fails at once, visibly).
 */
export const FAILURES = {
  "invalid-input": { title: "The input is not valid", status: 422, exit: 2, retry: false },
  "malformed-json": { title: "The body is not valid JSON", status: 400, exit: 2, retry: false },
  "malformed-request": { title: "The request is not valid HTTP", status: 400, exit: 2, retry: false },
  "headers-too-large": { title: "The headers are too large", status: 431, exit: 2, retry: false },
  "request-timeout": { title: "The request took too long to arrive", status: 408, exit: 1, retry: true },
  "expectation-failed": { title: "The expectation cannot be met", status: 417, exit: 2, retry: false },
  "body-too-large": { title: "The body is too large", status: 413, exit: 2, retry: false },
  "unsupported-media-type": { title: "The body must be JSON", status: 415, exit: 2, retry: false },
  unauthenticated: { title: "No valid token", status: 401, exit: 3, retry: false },
  "cross-site": { title: "The request comes from elsewhere", status: 403, exit: 3, retry: false },
  "tier-too-low": { title: "The tier does not allow this", status: 403, exit: 3, retry: false },
  "not-owner": { title: "The task belongs to another operator", status: 403, exit: 3, retry: false },
  "spawn-denied": { title: "No free slot in this tier", status: 403, exit: 3, retry: false },
  "cap-reached": { title: "A budget or daily cap is used up", status: 403, exit: 3, retry: false },
  "task-not-found": { title: "There is no such task", status: 404, exit: 3, retry: false },
  "not-found": { title: "There is no such thing", status: 404, exit: 3, retry: false },
  "method-not-allowed": { title: "The address does not answer this method", status: 405, exit: 2, retry: false },
  "ambiguous-name": { title: "The name is ambiguous", status: 409, exit: 2, retry: false },
  "invalid-transition": { title: "The state does not allow this", status: 409, exit: 1, retry: false },
  stopped: { title: "It is stopped on purpose", status: 409, exit: 3, retry: false },
  "product-stopped": { title: "The product is stopped on purpose", status: 409, exit: 3, retry: false },
  "idempotency-key-reused": {
    title: "The idempotency key was used for another request",
    status: 422,
    exit: 2,
    retry: false,
  },
  "stale-version": { title: "The task changed meanwhile", status: 409, exit: 1, retry: true },
  "spawn-failed": { title: "The agent could not be started", status: 502, exit: 1, retry: false },
  "workspace-refused": { title: "The working copy is not usable", status: 422, exit: 1, retry: false },
  "git-failed": { title: "A git command failed", status: 502, exit: 1, retry: true },
  "runtime-unavailable": { title: "The agent runtime does not answer", status: 503, exit: 1, retry: true },
  "merge-conflict": { title: "The branches conflict", status: 409, exit: 1, retry: false },
  "not-a-repository": { title: "There is no git repository", status: 422, exit: 2, retry: false },
  "branch-not-found": { title: "There is no such branch", status: 404, exit: 3, retry: false },
  "branch-diverged": { title: "The branch went two ways", status: 409, exit: 1, retry: false },
  "head-moved": { title: "The branch has newer commits", status: 409, exit: 1, retry: false },
  "not-supported": { title: "This is not supported yet", status: 501, exit: 1, retry: false },
  "forge-unavailable": { title: "The forge does not answer", status: 503, exit: 1, retry: true },
  "delivery-failed": { title: "The notification was not delivered", status: 502, exit: 1, retry: true },
  "delivery-refused": { title: "The channel refuses the notification", status: 502, exit: 1, retry: false },
  "rate-limited": { title: "Too many requests", status: 429, exit: 1, retry: true },
  "database-unavailable": { title: "PostgreSQL does not answer", status: 503, exit: 1, retry: true },
  "database-unusable": { title: "PostgreSQL cannot be used as it is", status: 503, exit: 1, retry: false },
  "encryption-key-missing": { title: "A key of the database's secrets is missing", status: 503, exit: 1, retry: false },
  "queue-unavailable": { title: "The queue backend does not answer", status: 503, exit: 1, retry: true },
  "queue-unusable": { title: "The queue backend cannot be used as it is", status: 503, exit: 1, retry: false },
  "stack-not-running": { title: "Fleetwright is not running", status: 503, exit: 1, retry: false },
  "order-tried-again": {
    title: "The order failed by chance and is tried once more",
    status: 503,
    exit: 1,
    retry: true,
  },
  "not-verified": { title: "The check did not hold", status: 409, exit: 4, retry: false },
} as const satisfies Record<string, Failure>;

interface Failure {
  readonly title: string;
  readonly status: number;
  readonly exit: number;
  readonly retry: boolean;
}

export type FailureCode = keyof typeof FAILURES;

/** A refusal or failure that the table knows. `facts` go into the problem document; they must hold no secret. */
export class FleetError extends Error {
  readonly code: FailureCode;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: FailureCode, message: string, facts: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.facts = facts;
  }

  get failure(): Failure {
    return FAILURES[this.code];
  }
}

/** Another writer changed the row first: read it again and decide again. */
export class StaleVersionError extends FleetError {
  constructor(taskId: string, expected: number, actual: number) {
    super("stale-version", `Task ${taskId} is at version ${actual}, not ${expected}.`, { taskId, expected, actual });
  }
}

export class InvalidTransitionError extends FleetError {
  constructor(taskId: string, from: string, to: string, allowed: readonly string[]) {
    const ways = allowed.length > 0 ? `From ${from} it may go to ${allowed.join(", ")}.` : `${from} is final.`;
    super("invalid-transition", `Task ${taskId} cannot go from ${from} to ${to}. ${ways}`, {
      taskId,
      from,
      to,
      allowed,
    });
  }
}

export class TaskNotFoundError extends FleetError {
  constructor(taskId: string) {
    super("task-not-found", `There is no task ${taskId}. See yours: fleet ps --all`, { taskId });
  }
}

export class SpawnDeniedError extends FleetError {
  constructor(limit: number, held: number, tier: string) {
    super("spawn-denied", `Tier ${tier} may hold ${limit} slots; ${held} are held. Wait for one to end, or stop one.`, {
      limit,
      held,
      tier,
    });
  }
}

/** Which step of spawning failed, and how the command ended. */
export class SpawnError extends FleetError {
  constructor(code: SpawnErrorCode, step: string, message: string, cause?: unknown) {
    super("spawn-failed", message, { spawnCode: code, step }, cause);
  }
}

export type SpawnErrorCode =
  "WORKSPACE_FAILED" | "INSTALL_FAILED" | "PROCESS_FAILED" | "TIMEOUT" | "NO_SECRET" | "NO_UNIX_USER" | "DISK_FULL";

/** Reads what came from outside (a body, a job, an argument), or refuses it and says which field is wrong. */
export function parseInput<Shape extends z.ZodType>(schema: Shape, input: unknown): z.output<Shape> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  throw new FleetError("invalid-input", truncate(z.prettifyError(parsed.error), MAX_MESSAGE_CHARS), {
    issues: issues.slice(0, MAX_ISSUES).map(({ path, code, message }) => ({
      path: path
        .slice(0, MAX_ISSUES)
        .map((key) => (typeof key === "number" ? key : truncate(String(key), MAX_ISSUE_CHARS))),
      code,
      message: truncate(message, MAX_ISSUE_CHARS),
    })),
  });
}

/** What was refused names its own fields, a megabyte of them if it likes: the refusal goes into logs and answers. */
const MAX_MESSAGE_CHARS = 1_500;
const MAX_ISSUE_CHARS = 300;
const MAX_ISSUES = 32;

function truncate(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, maxChars)}…`.toWellFormed();
}

/** The code of an error that is not ours: "ENOENT" of the file system, "23505" of PostgreSQL, "ECONNREFUSED" of a socket. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** What an error says: anything may be thrown, and not everything thrown is an Error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
