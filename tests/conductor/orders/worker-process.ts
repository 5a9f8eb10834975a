/** A worker process for a test to kill. It handles all queues; its settings and products come from its parent. */
import { z } from "zod";
import { Product } from "../../../src/domain/product.ts";
import { parseSettings } from "../../../src/domain/settings/settings.ts";
import { readConfig } from "../../../src/environment.ts";
import { openLog } from "../../../src/log.ts";
import { openFleet } from "../../../src/processes/fleet.ts";
import { startWorker } from "../../../src/processes/worker.ts";

const WorkerInput = z.object({
  env: z.record(z.string(), z.string()),
  home: z.string(),
  products: z.array(z.unknown()),
});

const { env, home, products } = WorkerInput.parse(JSON.parse(process.argv[2] ?? ""));
const parsed = parseSettings({});
if (!parsed.ok) throw new Error("The settings cannot be read.");
const open = await openFleet({
  config: readConfig(env, { homeDir: home, hostName: "here" }),
  log: await openLog({ level: "silent" }),
  write: () => {},
  statementTimeoutMs: 30_000,
  settings: { ...parsed.settings, products: products.map((product) => Product.parse(product)) },
});
await startWorker(open, { tickMs: 300, versions: {} });
process.send?.("working");
process.once("disconnect", () => process.exit()); // The test has ended or was killed.
