/** A worker of a test's own, to be killed: consumes one queue, tells its parent of each job, and never ends one. */
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
process.once("disconnect", () => process.exit()); // the test is over, or was killed
