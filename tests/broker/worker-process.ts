/** A worker for a test to kill: it consumes one queue, reports each job to its parent, and never completes one. */
import { z } from "zod";
import { openBroker } from "../../src/broker/broker.ts";
import { aQueue } from "../contracts/broker-support.ts";

const WorkerInput = z.object({
  redisUrl: z.string().optional(),
  databaseUrl: z.string().optional(),
  prefix: z.string(),
  queue: z.string(),
});

const { queue, ...where } = WorkerInput.parse(JSON.parse(process.argv[2] ?? ""));
const broker = await openBroker({ ...where, onError: () => {} });
await broker.consume(aQueue({ name: queue }), (data) => {
  process.send?.({ claimed: data });
  return new Promise(() => {});
});
process.send?.("consuming");
process.once("disconnect", () => process.exit()); // The test has ended or was killed.
