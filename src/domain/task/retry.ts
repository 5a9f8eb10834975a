/** Retry rules: whether a failed attempt is retried, when, and with which changes. Randomness and time are arguments. */
import type { FailureClass, FailureContext, Task } from "./task.ts";

/** While more than this share of the fleet's slots is in use, retries wait twice as long. */
const BUSY_SHARE = 0.8;
/** One second of jitter keeps tasks that failed together from being retried together. */
const JITTER_MS = 1_000;

interface RetryRule {
  /** It is not retried automatically, but goes to the inbox. */
  readonly needsPerson: boolean;
  /** Whether it counts against max_retries. Failures that the agent did not cause do not. */
  readonly countsAsRetry: boolean;
  /** The workspace cannot be trusted or does not exist, so a new one is created. */
  readonly freshWorkspace: boolean;
  /** How many consecutive failures of this class are free before each one counts as a retry. */
  readonly freeTries: number;
}

const retryRule = (rule: Partial<RetryRule> = {}): RetryRule => ({
  needsPerson: false,
  countsAsRetry: true,
  freshWorkspace: false,
  freeTries: 0,
  ...rule,
});

export const RETRY_RULES: Readonly<Record<FailureClass, RetryRule>> = {
  agent_error: retryRule(),
  environment_error: retryRule({ freshWorkspace: true }),
  provider_limit: retryRule({ countsAsRetry: false, freeTries: Infinity }),
  provider_outage: retryRule({ countsAsRetry: false, freeTries: 5 }),
  policy_refusal: retryRule({ needsPerson: true }),
  review_rejected: retryRule(),
  ci_failed: retryRule(),
  ci_flake: retryRule({ countsAsRetry: false, freeTries: 2 }),
  host_lost: retryRule({ countsAsRetry: false, freeTries: 3, freshWorkspace: true }),
  budget_exceeded: retryRule({ needsPerson: true }),
  no_evidence: retryRule(),
  timeout: retryRule(),
  stall: retryRule(),
};

export type RetryDecision =
  | {
      readonly do: "retry";
      readonly delayMs: number;
      readonly burnsRetry: boolean;
      readonly freshWorkspace: boolean;
      /** It failed the same way before, so the next stronger model of the routing table is used. */
      readonly escalateModel: boolean;
      /** Factors for the next attempt's limits: 1 unless it ran out of memory. */
      readonly tokenFactor: number;
      readonly memoryFactor: number;
      readonly reason: string;
    }
  | { readonly do: "abandon"; readonly reason: string }
  | { readonly do: "hold"; readonly reason: string }
  /** The task is not in a state that can be retried. */
  | { readonly do: "nothing"; readonly reason: string };

export interface RetryPolicy {
  readonly baseDelayMs: number;
  readonly capMs: number;
  readonly maxRounds: number;
}

export interface RetryContext {
  /** Failures of the attempts before this one, oldest first. */
  readonly history: readonly Pick<FailureContext, "class" | "signature">[];
  readonly policy: RetryPolicy;
  /** Running agents as a share of the fleet's slots. */
  readonly fleetUse: number;
  /** A random number in [0, 1). */
  readonly random: number;
  /** When the provider will accept requests again, if it said so. */
  readonly retryAt?: Date | undefined;
  readonly now: Date;
}

export type RetryTask = Pick<Task, "status" | "attempt" | "retryCount" | "maxRetries">;

export function decideRetry(task: RetryTask, failure: FailureContext, context: RetryContext): RetryDecision {
  if (task.status !== "failed" && task.status !== "rejected") {
    return { do: "nothing", reason: `a ${task.status} task is not retried` };
  }
  const rule = RETRY_RULES[failure.class];
  if (rule.needsPerson) return { do: "hold", reason: `${failure.class} needs a person` };
  if (task.attempt + 1 >= context.policy.maxRounds) {
    return { do: "abandon", reason: `the limit of ${task.attempt + 1} attempts per task is reached` };
  }
  const burnsRetry = rule.countsAsRetry || countInARow(failure.class, context.history) >= rule.freeTries;
  if (burnsRetry && task.retryCount >= task.maxRetries) {
    return { do: "abandon", reason: `all ${task.maxRetries} retries are used up` };
  }
  const escalateModel = context.history.some(({ signature }) => signature === failure.signature);
  return {
    do: "retry",
    delayMs: computeWaitMs(task, context),
    burnsRetry,
    freshWorkspace: rule.freshWorkspace,
    escalateModel,
    tokenFactor: failure.outOfMemory ? 0.75 : 1,
    memoryFactor: failure.outOfMemory ? 1.25 : 1,
    reason: escalateModel ? `${failure.class}, in the same way as before` : failure.class,
  };
}

export interface DelayFacts {
  readonly attempt: number;
  readonly fleetUse: number;
  /** A random number in [0, 1). */
  readonly random: number;
}

/** Computes `min(base · 2^attempt + jitter, cap)`, doubled while the fleet is busy, as a non-negative integer. */
export function retryDelayMs(
  { attempt, fleetUse, random }: DelayFacts,
  policy: Pick<RetryPolicy, "baseDelayMs" | "capMs">,
): number {
  const jitterMs = Math.floor(random * JITTER_MS);
  const delayMs = Math.min(policy.baseDelayMs * 2 ** Math.max(0, attempt) + jitterMs, policy.capMs);
  return Math.round(fleetUse > BUSY_SHARE ? 2 * delayMs : delayMs);
}

/**
 * Returns a short fingerprint of *how* it failed. What differs between two occurrences of the same failure (numbers, ids,
 * paths, times) is removed first. Failures with equal signatures are treated as the same.
 */
export function failureSignature(failure: Pick<FailureContext, "class" | "reason"> & Partial<FailureContext>): string {
  const findings = (failure.findings ?? []).map(
    (finding) => `${String(finding["file"])}:${String(finding["message"])}`,
  );
  const text = [failure.ciLog ?? failure.outputTail ?? failure.summary ?? "", ...findings.toSorted()].join("\n");
  const input = [
    failure.class,
    failure.reason,
    String(failure.exitCode ?? ""),
    failure.signal ?? "",
    normaliseFailureText(text),
  ];
  return `${failure.class}-${fnv1a(input.join("\n"))}`;
}

/** Removes what varies between occurrences of the same failure, and keeps the end of the text, where errors are. */
export function normaliseFailureText(text: string): string {
  return text
    .slice(-MAX_SIGNATURE_CHARS)
    .toLowerCase()
    .replaceAll(/\d{4}-\d\d-\d\d[t ][\d:.,]+z?/g, "<time>")
    .replaceAll(/\b(?=[a-f]*\d)[0-9a-f]{7,64}\b/g, "<id>")
    .replaceAll(/(?:\.{0,2}\/)[^\s:"'()]*/g, "<path>")
    .replaceAll(/\d+/g, "<n>")
    .replaceAll(/\s+/g, " ")
    .trim();
}

const MAX_SIGNATURE_CHARS = 4_000;

function computeWaitMs(task: RetryTask, context: RetryContext): number {
  const delayMs = retryDelayMs(
    { attempt: task.retryCount, fleetUse: context.fleetUse, random: context.random },
    context.policy,
  );
  if (!context.retryAt) return delayMs;
  return Math.max(delayMs, context.retryAt.getTime() - context.now.getTime());
}

function countInARow(failureClass: FailureClass, history: RetryContext["history"]): number {
  const other = history.findLastIndex((failure) => failure.class !== failureClass);
  return history.length - 1 - other;
}

/** The 64-bit FNV-1a hash: the domain imports no crypto library, and this needs no cryptographic hash. */
function fnv1a(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}
