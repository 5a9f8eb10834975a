/** host.<hostId> → attendTask, or answerGc. One per host, since the queue is the host's own. */
import { hostQueue } from "../queues/host.ts";
import { answerGc } from "../src/conductor/gc/ask.ts";
import { attendTask } from "../src/conductor/monitor/host.ts";
import { defineProcessor, type Processor } from "./define.ts";

export function hostProcessor(hostId: string): Processor {
  return defineProcessor(hostQueue(hostId), async (fleet, job, signal) =>
    job.act === "gc" ? answerGc(fleet, job.reportId) : attendTask(fleet, job, signal),
  );
}
