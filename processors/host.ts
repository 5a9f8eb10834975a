/** host.<hostId> → attendTask. One per host, since the queue is the host's own. */
import { hostQueue } from "../queues/host.ts";
import { attendTask } from "../src/conductor/host.ts";
import { defineProcessor, type Processor } from "./define.ts";

export function hostProcessor(hostId: string): Processor {
  return defineProcessor(hostQueue(hostId), attendTask);
}
