/** drift → scanForDrift or refreshScience, by the kind of the job. */
import { driftQueue } from "../queues/drift.ts";
import { scanForDrift } from "../src/conductor/drift/scan.ts";
import { refreshScience } from "../src/conductor/drift/science.ts";
import { defineProcessor } from "./define.ts";

export const driftProcessor = defineProcessor(driftQueue, async (fleet, job, signal) => {
  if (job.kind === "science" || job.kind === "requested-science") await refreshScience(fleet, job, signal);
  else await scanForDrift(fleet, job, signal);
});
