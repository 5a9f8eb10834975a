/** host.<hostId> → handleHostJob or handleGcJob. There is one processor per host, because each host has its own queue. */
import { hostQueue } from "../queues/host.ts";
import { handleGcJob } from "../src/conductor/gc/requests.ts";
import { handleHostJob } from "../src/conductor/monitor/host.ts";
import { defineProcessor, type Processor } from "./define.ts";

export function hostProcessor(hostId: string): Processor {
  return defineProcessor(hostQueue(hostId), async (fleet, job, signal) =>
    job.act === "gc" ? handleGcJob(fleet, job.reportId) : handleHostJob(fleet, job, signal),
  );
}
