/** Pruning what is past its keeping: rows that were told, and finished jobs the queue only looks at when another ends. */
import { QUEUES } from "../../queues/index.ts";
import { pruneOutbox } from "../store/retention.ts";
import { WORKER } from "../store/store.ts";
import type { Fleet } from "./fleet.ts";

/** Hints are evidence for a while; events are what a reader may resume from. */
const KEEP_HINTS_MS = 6 * 3_600_000;
const KEEP_EVENTS_MS = 7 * 24 * 3_600_000;
const BATCH = 5_000;

export interface Pruned {
  readonly outbox: number;
  readonly jobs: number;
}

/** Bounded per run; undefined when another worker is at it. */
export async function pruneRows(fleet: Fleet): Promise<Pruned | undefined> {
  return fleet.store.exclusively("gc/rows", async () => {
    const outbox = await fleet.store.transaction(WORKER, (tx) =>
      pruneOutbox(tx, { hintsMs: KEEP_HINTS_MS, eventsMs: KEEP_EVENTS_MS, limit: BATCH }),
    );
    let jobs = 0;
    for (const queue of QUEUES) jobs += await fleet.broker.clean(queue);
    fleet.log.info({ event: "gc.rows", outbox, jobs }, "pruned");
    return { outbox, jobs };
  });
}
