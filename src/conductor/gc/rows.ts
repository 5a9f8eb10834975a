/** Pruning what is past retention: rows, and finished jobs, which the queue itself only removes when another job ends. */
import { QUEUES } from "../../../queues/index.ts";
import {
  pruneGc,
  pruneHeartbeats,
  pruneNotifications,
  pruneOrders,
  pruneOutbox,
  pruneSpending,
  pruneTasks,
} from "../../store/retention.ts";
import type { Tx } from "../../store/sql.ts";
import { pruneTokens } from "../../store/tokens.ts";
import type { Fleet } from "../fleet.ts";

/** Relayed hints are retained as evidence; events are retained so that readers can resume. */
const HINT_RETENTION_MS = 6 * 3_600_000;
const EVENT_RETENTION_MS = 7 * 24 * 3_600_000;
const BATCH = 5_000;

/** For requests to hosts, and the reports of what they deleted. */
const REPORT_RETENTION_DAYS = 30;
/** Tasks and orders cascade to many other rows. */
const SMALL_BATCH = 500;

export interface PruneResult {
  readonly outbox: number;
  /** Tasks, orders, and the rows about them. */
  readonly past: number;
  readonly jobs: number;
}

/** Bounded per run; undefined when another worker is pruning. */
export async function pruneRows(fleet: Fleet): Promise<PruneResult | undefined> {
  return fleet.store.tryWithLock("gc/rows", async () => {
    const outbox = await fleet.store.asSystem((tx) =>
      pruneOutbox(tx, { hintsMs: HINT_RETENTION_MS, eventsMs: EVENT_RETENTION_MS, limit: BATCH }),
    );
    const past = await pruneExpired(fleet);
    let jobs = 0;
    for (const queue of QUEUES) jobs += await fleet.broker.clean(queue);
    fleet.log.info({ event: "gc.rows", outbox, past, jobs }, "pruned rows and jobs");
    return { outbox, past, jobs };
  });
}

/** Each kind in its own transaction, so that none waits for the row locks of another. */
async function pruneExpired(fleet: Fleet): Promise<number> {
  const days = fleet.settings.gc.keepRowsDays;
  const prunes: readonly ((tx: Tx) => Promise<number>)[] = [
    (tx) => pruneHeartbeats(tx, days, BATCH),
    (tx) => pruneNotifications(tx, days, BATCH),
    (tx) => pruneOrders(tx, days, SMALL_BATCH),
    (tx) => pruneTasks(tx, days, SMALL_BATCH),
    (tx) => pruneGc(tx, REPORT_RETENTION_DAYS),
    (tx) => pruneSpending(tx, days),
    (tx) => pruneTokens(tx, days, BATCH),
  ];
  let count = 0;
  for (const prune of prunes) count += await fleet.store.asSystem(prune);
  return count;
}
