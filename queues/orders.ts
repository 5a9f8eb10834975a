/** orders: executes one work order and stores its evidence. A transient failure is retried once. */
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
