/** Work orders as they are requested, as the API returns them and as `--json` prints them. */
import { z } from "zod";
import { Intent, OrderBudget, OrderResult, OrderStatus, StopCondition, type Order } from "../../domain/orders/order.ts";
import { Slug } from "../../domain/product.ts";
import { Step } from "../../domain/orders/run.ts";
import { shortId } from "../../domain/task/task.ts";
import { toIsoOrNull } from "../fields.ts";

const Moment = z.iso.datetime();

export const OrderView = z
  .object({
    id: z.uuid(),
    shortId: z.string(),
    operatorId: z.string(),
    productId: z.string(),
    intent: Intent,
    subject: z.string(),
    inputs: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
    budget: OrderBudget,
    stopConditions: z.array(StopCondition),
    evidenceExpectations: z.array(z.string()),
    policyRefs: z.array(z.string()),
    priority: z.int(),
    score: z.int(),
    reasons: z.array(z.string()).meta({ description: "Why it was planned" }),
    status: OrderStatus,
    reason: z.string().nullable().meta({ description: "Why it failed, or was skipped" }),
    source: z.string(),
    planId: z.uuid().nullable(),
    scheduleId: z.string().nullable(),
    slotAt: Moment.nullable(),
    batchId: z.uuid().nullable().meta({ description: "The batch in which it runs, one order after another" }),
    requestedAt: Moment.nullable().meta({ description: "null: its run was not requested yet" }),
    attempt: z.int().meta({ description: "1: it was retried once automatically" }),
    crashes: z.int().meta({ description: "Workers that died while they ran it" }),
    host: z.string().nullable(),
    result: OrderResult.nullable(),
    createdAt: Moment,
    updatedAt: Moment,
    completedAt: Moment.nullable(),
  })
  .meta({ id: "Order" });
export type OrderView = z.infer<typeof OrderView>;

/** Parsing with the schema removes the fields that it does not name. */
export function viewOrder(order: Order): OrderView {
  return OrderView.parse({
    ...order,
    shortId: shortId(order.id),
    slotAt: toIsoOrNull(order.slotAt),
    requestedAt: toIsoOrNull(order.requestedAt),
    createdAt: order.createdAt.toISOString(),
    updatedAt: order.updatedAt.toISOString(),
    completedAt: toIsoOrNull(order.completedAt),
  });
}

export const AddedOrder = OrderView.extend({
  repeated: z.boolean().meta({ description: "An order of the same product, intent and subject was open already" }),
}).meta({ id: "AddedOrder" });

/** Which pending orders to run. */
export const RunRequest = z.strictObject({
  budget: z.int().min(1).max(1_000).default(10).meta({ description: "How many, the most urgent first" }),
  product: Slug.optional().meta({ description: "Only orders of this product" }),
  dryRun: z.boolean().default(false).meta({ description: "Report what would be done, and change nothing" }),
});
export type RunRequest = z.infer<typeof RunRequest>;

export const OneRunRequest = RunRequest.pick({ dryRun: true });

export const PlannedOrder = z.object({
  order: OrderView,
  workingCopy: z.object({ repository: z.string(), branch: z.string() }).meta({
    description: "A fresh copy of the head of the branch, created when it runs",
  }),
  commands: z.array(z.object({ step: Step, argv: z.array(z.string()) })).meta({
    description: "Empty: Fleetwright does it itself",
  }),
  evidence: z.array(z.string()).meta({ description: "The evidence that must exist afterwards" }),
});

export const BatchView = z
  .object({
    dryRun: z.boolean(),
    batchId: z.uuid().nullable().meta({ description: "null: no run was requested" }),
    orders: z.array(PlannedOrder).meta({ description: "In the order in which they run" }),
    refused: z.array(z.object({ productId: z.string(), reason: z.string() })).meta({
      description: "Stopped products, whose orders were left out",
    }),
  })
  .meta({ id: "Batch" });
export type BatchView = z.infer<typeof BatchView>;
