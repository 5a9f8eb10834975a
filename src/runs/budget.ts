/** Enforces an order's budget while its commands run: a command that exceeds it is ended with its whole process tree. */
import { EMPTY_RESULT, runCommand, type CommandResult } from "../command/run.ts";
import type { BudgetLimit } from "../domain/orders/transient-failures.ts";
import type { OrderBudget } from "../domain/orders/order.ts";
import { NO_SPEND, type RunSpend } from "../domain/orders/run.ts";

export interface MeteredRequest {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** The time limit of this command. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly onOutput: (chunk: Buffer) => void;
}

export interface MeteredResult extends CommandResult {
  readonly over: BudgetLimit | undefined;
}

export interface BudgetMeter {
  /** Runs a command within the remaining budget. If nothing is left, it is not started. */
  run(request: MeteredRequest): Promise<MeteredResult>;
  readonly spent: RunSpend;
}

/** `before` is what an earlier attempt of the same order used; time and output are not granted twice. Actions count per attempt. */
export function openBudgetMeter(budget: OrderBudget, spentBefore: RunSpend = NO_SPEND): BudgetMeter {
  let actions = 0;
  let ms = 0;
  let bytes = 0;
  const msLeft = () => (budget.max_seconds ?? Infinity) * 1_000 - spentBefore.seconds * 1_000 - ms;
  const bytesLeft = () => (budget.max_output_bytes ?? Infinity) - spentBefore.outputBytes - bytes;

  function exceededLimit(): BudgetLimit | undefined {
    if (actions >= budget.max_actions) return "max_actions";
    if (msLeft() <= 0) return "max_seconds";
    return bytesLeft() < 0 ? "max_output_bytes" : undefined;
  }

  return {
    get spent() {
      return { actions, seconds: Math.round(ms) / 1_000, outputBytes: bytes };
    },
    async run({ argv, timeoutMs, onOutput, signal, cwd, env }) {
      const over = exceededLimit();
      if (over) return { ...EMPTY_RESULT, over };
      actions += 1;
      const overflow = new AbortController();
      const allowed = msLeft();
      const startedAt = performance.now();
      try {
        const result = await runCommand(argv, {
          cwd,
          env,
          timeoutMs: Math.min(timeoutMs, allowed),
          maxOutputBytes: 0,
          signal: AbortSignal.any([signal, overflow.signal]),
          onOutput(chunk) {
            const room = bytesLeft();
            bytes += chunk.length;
            // Output beyond the limit is counted but not stored.
            if (room > 0) onOutput(chunk.length > room ? chunk.subarray(0, room) : chunk);
            if (chunk.length > room) overflow.abort();
          },
        });
        if (overflow.signal.aborted) return { ...result, over: "max_output_bytes" };
        return { ...result, over: result.timedOut && allowed <= timeoutMs ? "max_seconds" : undefined };
      } finally {
        ms += performance.now() - startedAt;
      }
    },
  };
}
