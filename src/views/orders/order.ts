/** Work orders as they are asked for and shown: what the API answers and what `--json` prints. */
import { z } from "zod";
import { Intent, OrderBudget, OrderResult, OrderStatus, StopCondition } from "../../domain/orders/order.ts";
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
    batchId: z.uuid().nullable().meta({ description: "What it is carried out with, one after another" }),
    requestedAt: Moment.nullable().meta({ description: "Null: nobody asked for it to be carried out yet" }),
    attempt: z.int().meta({ description: "1: it was tried once more by itself" }),
    crashes: z.int().meta({ description: "Workers that died over it" }),
    host: z.string().nullable(),
    result: OrderResult.nullable(),
    createdAt: Moment,
    updatedAt: Moment,
    completedAt: Moment.nullable(),
  })
  .meta({ id: "Order" });
export type OrderView = z.infer<typeof OrderView>;

type Moments = "slotAt" | "requestedAt" | "createdAt" | "updatedAt" | "completedAt";
type OrderRow = Omit<OrderView, "shortId" | Moments> & {
  readonly [Name in Exclude<Moments, "createdAt" | "updatedAt">]: Date | null;
} & { readonly createdAt: Date; readonly updatedAt: Date };

/** The schema of the reply leaves out what it does not name. */
export function viewOrder(order: OrderRow): OrderView {
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
  repeated: z
    .boolean()
    .meta({ description: "An open order of the same product, intent and subject was there already" }),
}).meta({ id: "AddedOrder" });

/** Which pending orders to carry out. */
export const RunRequest = z.strictObject({
  budget: z.int().min(1).max(1_000).default(10).meta({ description: "How many, the most urgent first" }),
  product: Slug.optional().meta({ description: "Only this one's" }),
  dryRun: z.boolean().default(false).meta({ description: "Say what would be done; nothing is changed anywhere" }),
});
export type RunRequest = z.infer<typeof RunRequest>;

export const OneRunRequest = RunRequest.pick({ dryRun: true });

export const PlannedOrder = z.object({
  order: OrderView,
  workingCopy: z.object({ repository: z.string(), branch: z.string() }).meta({
    description: "A fresh copy of the branch's head; made when it runs",
  }),
  commands: z.array(z.object({ step: Step, argv: z.array(z.string()) })).meta({
    description: "None: Fleetwright does it itself",
  }),
  evidence: z.array(z.string()).meta({ description: "What must be there afterwards" }),
});

export const BatchView = z
  .object({
    dryRun: z.boolean(),
    batchId: z.uuid().nullable().meta({ description: "Null: nothing was asked for" }),
    orders: z.array(PlannedOrder).meta({ description: "In the order they are carried out" }),
    refused: z.array(z.object({ productId: z.string(), reason: z.string() })).meta({
      description: "Products that are stopped: their orders were left out",
    }),
  })
  .meta({ id: "Batch" });
export type BatchView = z.infer<typeof BatchView>;
