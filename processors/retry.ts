/** retry → attemptRetry. */
import { retryQueue } from "../queues/retry.ts";
import { attemptRetry } from "../src/conductor/attempts/retry.ts";
import { defineProcessor } from "./define.ts";

export const retryProcessor = defineProcessor(retryQueue, attemptRetry);
