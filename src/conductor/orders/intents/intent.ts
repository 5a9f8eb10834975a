/** The input and the outcome of an intent. An intent may throw: then the run fails with the message of the error. */
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
  /** Aborted when the order's time is used up, its lease is lost, or the process shuts down. */
  readonly signal: AbortSignal;
}

export interface IntentOutcome {
  readonly ok: boolean;
  readonly exitCode: number | null;
  /** One word: exit_1, time_out, killed, budget_exceeded, … */
  readonly failure?: string;
  readonly message: string;
  /** A transient failure: trying again may help. */
  readonly transient?: boolean;
  /** Stop conditions that it met, which may end the rest of its batch, in addition to those that follow from `failure`. */
  readonly fired?: readonly StopCondition[];
  readonly summary?: Readonly<Record<string, unknown>>;
  readonly headSha?: string;
}

export type ExecuteIntent = (context: IntentContext) => Promise<IntentOutcome>;
