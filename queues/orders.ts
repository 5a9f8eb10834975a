/** orders: execute one work order, with evidence. One automatic second try for what failed by chance. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const OrderJob = z.strictObject({ orderId: z.uuid(), epoch: z.int().min(1) });
export type OrderJob = z.infer<typeof OrderJob>;

export const ordersQueue = defineQueue({
  name: "orders",
  payload: OrderJob,
  attempts: 2,
  concurrency: 2,
  jobId: ({ orderId, epoch }) => `order_${orderId}_e${epoch}`,
});
