/** drift → the look that the job names. */
import { driftQueue } from "../queues/drift.ts";
import { lookForDrift } from "../src/conductor/drift/scan.ts";
import { refreshScience } from "../src/conductor/drift/science.ts";
import { defineProcessor } from "./define.ts";

export const driftProcessor = defineProcessor(driftQueue, async (fleet, job, signal) => {
  if (job.look === "science" || job.look === "asked-science") await refreshScience(fleet, job, signal);
  else await lookForDrift(fleet, job, signal);
});
