/** notify → deliverNotification. */
import { notifyQueue } from "../queues/notify.ts";
import { deliverNotification } from "../src/conductor/notify/deliver.ts";
import { defineProcessor } from "./define.ts";

export const notifyProcessor = defineProcessor(notifyQueue, deliverNotification);
