/** Clients: request tasks through the API with an Idempotency-Key each, and retry after no response or a failure. */
import { setTimeout as pause } from "node:timers/promises";
import type { ChaosEnvironment } from "./environment.ts";

export interface ClientResults {
  /** The task of the response, per key. */
  readonly tasks: ReadonlyMap<string, string>;
  /** Violations: two ids for one key, or an unexpected refusal. */
  readonly wrong: readonly string[];
  readonly refusals: number;
  readonly failures: number;
  readonly done: Promise<void>;
  stop(): void;
}

export interface TaskKind {
  readonly script: string;
  /** With an agent of type command instead of a stub. */
  readonly command?: readonly string[];
  readonly taskType: "bug_fix" | "refactor";
  readonly repository: "plain" | "checked";
  readonly maxRetries: number;
}

const DEFAULT_KIND = { taskType: "bug_fix", repository: "plain", maxRetries: 5 } as const;

/**
 * Of twenty tasks: most deliver at once, some need Fleetwright to push, checks, a reviewer, a retry, or leave
 * processes behind.
 */
const KINDS: readonly TaskKind[] = [
  ...Array.from({ length: 12 }, () => ({ ...DEFAULT_KIND, script: "succeed" })),
  { ...DEFAULT_KIND, script: "succeed-no-push" },
  { ...DEFAULT_KIND, script: "succeed-no-push" },
  { ...DEFAULT_KIND, script: "fail-then-fix", repository: "checked" },
  { ...DEFAULT_KIND, script: "succeed", repository: "checked" },
  { ...DEFAULT_KIND, script: "objectionable-then-fix", taskType: "refactor" },
  { ...DEFAULT_KIND, script: "fork" },
  { ...DEFAULT_KIND, script: "exit-1", maxRetries: 1 },
  { ...DEFAULT_KIND, script: "cannot start", command: ["/nonexistent/agent"], maxRetries: 1 },
];

export function taskKindAt(index: number): TaskKind {
  // Interleaved, so that each kind occurs from the beginning.
  return KINDS[(index * 7) % KINDS.length] ?? { ...DEFAULT_KIND, script: "succeed" };
}

const CLIENTS = 6;
const RETRYABLE_STATUSES = new Set([403, 409, 429, 502, 503, 504]);
/** One of so many requests is repeated with the same key, as by a client that lost the response. */
const REPEAT_EVERY = 9;

export function startClients(stage: ChaosEnvironment, count: number, name: string): ClientResults {
  const tasks = new Map<string, string>();
  const wrong: string[] = [];
  const counts = { refusals: 0, failures: 0 };
  const stopping = new AbortController();
  let next = 0;

  async function client(): Promise<void> {
    while (next < count && !stopping.signal.aborted) {
      const index = next;
      next += 1;
      await requestUntilAnswered(index);
    }
  }

  async function requestUntilAnswered(index: number): Promise<void> {
    const key = `${name}-${index}`;
    while (!stopping.signal.aborted) {
      const answer = await requestTask(stage, index, key).catch(() => undefined);
      if (answer?.id) {
        record(key, answer.id);
        const again =
          index % REPEAT_EVERY === 0 ? await requestTask(stage, index, key).catch(() => undefined) : undefined;
        if (again?.id) record(key, again.id);
        return;
      }
      if (answer?.status === 403) counts.refusals += 1;
      else counts.failures += 1;
      if (answer && !RETRYABLE_STATUSES.has(answer.status)) {
        wrong.push(`${key} was answered ${answer.status}: ${answer.text}`);
        return;
      }
      await pause(1_000, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  function record(key: string, id: string): void {
    const known = tasks.get(key);
    if (known !== undefined && known !== id) wrong.push(`${key} has two tasks: ${known} and ${id}`);
    tasks.set(key, id);
  }

  const done = Promise.all(Array.from({ length: CLIENTS }, client)).then(() => undefined);
  return {
    tasks,
    wrong,
    get refusals() {
      return counts.refusals;
    },
    get failures() {
      return counts.failures;
    },
    done,
    stop: () => stopping.abort(),
  };
}

async function requestTask(
  stage: ChaosEnvironment,
  index: number,
  key: string,
): Promise<{ status: number; id: string | undefined; text: string }> {
  const operator = stage.operators[index % stage.operators.length];
  const { script, command, taskType, repository, maxRetries } = taskKindAt(index);
  const body = {
    repository: stage.repositories[repository],
    description: `Task ${key}: make the change called ${script}.`,
    ...(command ? { agentType: "command", command } : { agentType: "stub", script }),
    taskType,
    maxRetries,
  };
  const response = await fetch(`${stage.webUrl}/api/fleet/spawn`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${operator?.token}`, "idempotency-key": key },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  const id = response.ok ? parseId(text) : undefined;
  return { status: response.status, id, text: text.slice(0, 300) };
}

function parseId(text: string): string | undefined {
  return /"id":"([0-9a-f-]{36})"/.exec(text)?.[1];
}
