/** spawn: starts one attempt of a task on a host with a free slot. */
import { defineQueue } from "./define.ts";
import { TaskJob, taskJobId } from "./task-job.ts";

export const spawnQueue = defineQueue({ name: "spawn", payload: TaskJob, jobId: taskJobId("spawn") });
