/** Who carries out which intent of a work order. */
import { FleetError } from "../../domain/errors.ts";
import type { Intent } from "../../domain/order.ts";
import type { ExecuteIntent } from "./intent.ts";

export type { ExecuteIntent, IntentAsk, IntentOutcome } from "./intent.ts";

const notYet: ExecuteIntent = async ({ order }) => {
  throw new FleetError("not-supported", `Orders to ${order.intent} cannot be carried out yet.`);
};

export const INTENTS: Readonly<Record<Intent, ExecuteIntent>> = {
  validate: notYet,
  test: notYet,
  regenerate_report: notYet,
  gc_runs: notYet,
  drift_check: notYet,
  science_to_design: notYet,
};
