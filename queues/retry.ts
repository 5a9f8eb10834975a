/** retry: re-admits a failed or rejected task and sends it back to spawning. Its jobs are delayed by the backoff. */
import { defineQueue } from "./define.ts";
import { TaskJob, taskJobId } from "./task-job.ts";

export const retryQueue = defineQueue({ name: "retry", payload: TaskJob, jobId: taskJobId("retry") });
