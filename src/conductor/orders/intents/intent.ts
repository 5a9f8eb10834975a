/** What an intent's executor is handed, and what it answers. It may throw: that fails the run with the error's sentence. */
import type { StopCondition, Order } from "../../../domain/orders/order.ts";
import type { Product } from "../../../domain/product.ts";
import type { EvidenceFolder } from "../../../runs/evidence.ts";
import type { Fleet } from "../../fleet.ts";
import type { Run } from "../../../domain/orders/run.ts";

export interface IntentContext {
  readonly fleet: Fleet;
  readonly order: Order;
  readonly run: Run;
  readonly product: Product;
  readonly evidence: EvidenceFolder;
  /** Aborted when the order's time is over, its lease is lost, or the process shuts down. */
  readonly signal: AbortSignal;
}

export interface IntentOutcome {
  readonly ok: boolean;
  readonly exitCode: number | null;
  /** One word: exit_1, time_out, killed, budget_exceeded, … */
  readonly failure?: string;
  readonly message: string;
  /** It failed by chance: trying again may help. */
  readonly transient?: boolean;
  /** What it met that may end the rest of its batch, beside what follows from `ok` and `failure`. */
  readonly fired?: readonly StopCondition[];
  readonly summary?: Readonly<Record<string, unknown>>;
  readonly headSha?: string;
}

export type ExecuteIntent = (ask: IntentContext) => Promise<IntentOutcome>;
