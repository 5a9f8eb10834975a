/** retry: re-admit a failed or rejected task and send it back to spawning. Its jobs arrive delayed by the backoff. */
import { defineQueue } from "./define.ts";
import { TaskJob, taskJobId } from "./task-job.ts";

export const retryQueue = defineQueue({ name: "retry", payload: TaskJob, jobId: taskJobId("retry") });
