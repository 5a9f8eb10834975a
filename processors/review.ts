/** review → runReview. */
import { reviewQueue } from "../queues/review.ts";
import { runReview } from "../src/conductor/delivery/review.ts";
import { defineProcessor } from "./define.ts";

export const reviewProcessor = defineProcessor(reviewQueue, runReview);
