/** orders → runOrder. */
import { ordersQueue } from "../queues/orders.ts";
import { runOrder } from "../src/conductor/orders/run.ts";
import { defineProcessor } from "./define.ts";

export const ordersProcessor = defineProcessor(ordersQueue, runOrder);
