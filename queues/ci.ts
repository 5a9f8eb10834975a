/** ci: runs a product's checks on the head of a pull request of the local forge. */
import { defineQueue } from "./define.ts";
import { TaskJob, taskJobId } from "./task-job.ts";

export const ciQueue = defineQueue({ name: "ci", payload: TaskJob, concurrency: 2, jobId: taskJobId("ci") });
