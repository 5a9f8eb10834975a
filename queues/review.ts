/** review: gets one reviewer's verdict on a pull request. Rows in PostgreSQL decide when all verdicts are in. */
import { z } from "zod";
import { defineQueue } from "./define.ts";
import { TaskJob } from "./task-job.ts";

export const ReviewJob = TaskJob.extend({ reviewId: z.uuid() });
export type ReviewJob = z.infer<typeof ReviewJob>;

export const reviewQueue = defineQueue({
  name: "review",
  payload: ReviewJob,
  concurrency: 4,
  jobId: ({ reviewId, epoch }) => `review_${reviewId}_e${epoch}`,
});
