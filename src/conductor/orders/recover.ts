/** Cleans up after workers of this host that died: ends their processes, removes their copies, seals the evidence as it is. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Product } from "../../domain/product.ts";
import { LAST_RUN, openEvidence, runsDir } from "../../runs/evidence.ts";
import { removeLeftovers, sweepLeftovers } from "../../runs/leftovers.ts";
import { insertArtifacts } from "../../store/artifacts.ts";
import { findOrder } from "../../store/orders.ts";
import { listOpenRunIds, listUnsealedRuns, markRunSealed } from "../../store/runs.ts";
import type { Fleet } from "../fleet.ts";
import { productsOf } from "../products/find.ts";
import { publishLastRun, recordEnd, type RunContext } from "./record.ts";
import type { Run } from "../../domain/orders/run.ts";

/** Per pass, so that the lock is not held for long. */
const MAX_RUNS = 20;

/** A duty of the host. Everything follows from rows and folders, and repeating it is harmless. */
export async function recoverRuns(fleet: Fleet, signal?: AbortSignal): Promise<number> {
  const dead = await fleet.store.asSystem((tx) => listUnsealedRuns(tx, fleet.host.id, MAX_RUNS));
  for (const run of dead) {
    if (signal?.aborted) return dead.length;
    await sealDeadRun(fleet, run).catch((error: unknown) =>
      fleet.log.warn(
        { event: "run.unsealed", runId: run.id, error: String(error) },
        "run of a dead worker could not be sealed",
      ),
    );
  }
  const swept = await sweepLeftovers(fleet.home, (ids) => fleet.store.asSystem((tx) => listOpenRunIds(tx, ids)));
  if (swept.length > 0) fleet.log.info({ event: "runs.swept", copies: swept }, "removed working copies of dead runs");
  return dead.length;
}

async function sealDeadRun(fleet: Fleet, run: Run): Promise<void> {
  await removeLeftovers(fleet.home, run.id);
  const known = productsOf(fleet, run.tenantId).find(({ id }) => id === run.productId);
  // A product that fleet.yaml no longer names still gets the last_run.json of its last run.
  const product = known ?? Product.parse({ id: run.productId, repository: run.productId, tenant: run.tenantId });
  const order = await fleet.store.asSystem((tx) => findOrder(tx, run.orderId));
  if (!order || !run.dir) return;
  // Nothing is asked of the log, so what the dead one wrote stays as it is.
  const evidence = await openEvidence(run.dir, fleet.redactor);
  const work: RunContext = { order, run, product, evidence };
  const sentence = run.message ?? "the worker died";
  const seconds = ((run.endedAt ?? fleet.clock()).getTime() - run.startedAt.getTime()) / 1_000;
  const { lastRun, files } = await recordEnd(fleet, work, {
    status: "cancelled",
    sentence,
    seconds,
    stopped: undefined,
  });
  await fleet.store.asSystem(async (tx) => {
    await insertArtifacts(tx, run, files);
    await markRunSealed(tx, run.id);
  });
  if (await isLatest(fleet, run)) await publishLastRun(fleet, work, lastRun);
}

/** Whether the product has had no run since. */
async function isLatest(fleet: Fleet, { productId, id }: Run): Promise<boolean> {
  const latest = await readFile(join(runsDir(fleet.home, productId), LAST_RUN), "utf8").catch(() => "");
  return latest.includes(id);
}
