/** The relay: turns outbox rows into queue jobs, at least once, in batches, on every worker at the same time. */
import { hostQueue } from "../../queues/host.ts";
import { QUEUES } from "../../queues/index.ts";
import type { QueueDefinition } from "../../queues/define.ts";
import { FleetError } from "../domain/errors.ts";
import { markHintsFailed, claimHints, type OutboxRow } from "../store/outbox.ts";
import type { Fleet } from "./fleet.ts";

const BATCH = 500;
/** Poisoned rows only: a queue that is away is waited for, not counted. */
const MAX_TRIES = 5;
/** A Redis this full soon refuses writes, and then the workers stand still too: leave it what it has. */
const MAX_MEMORY_PRESSURE = 0.75;

/**
 * Relays until nothing waits; how many rows it took. While full batches wait, one is claimed in PostgreSQL as another is with
 * the queue.
 */
export async function relayWaiting(fleet: Fleet): Promise<number> {
  let total = 0;
  for (let rows = await relayOnce(fleet); rows > 0; rows = await relayOnce(fleet)) {
    total += rows;
    if (rows < BATCH) continue;
    const lanes = await Promise.all([relayWhileFull(fleet), relayWhileFull(fleet)]);
    total += lanes[0] + lanes[1];
  }
  return total;
}

/** Batch after batch, while they are full. */
async function relayWhileFull(fleet: Fleet): Promise<number> {
  let total = 0;
  let rows = BATCH;
  while (rows === BATCH) {
    rows = await relayOnce(fleet);
    total += rows;
  }
  return total;
}

/** Relays one batch; how many rows it took. Committed once the queue has them, so nothing is told that was not; told twice when we die in between. */
export async function relayOnce(fleet: Fleet): Promise<number> {
  if ((await fleet.broker.memoryPressure()) > MAX_MEMORY_PRESSURE) {
    throw new FleetError(
      "queue-unavailable",
      "Redis is above 75 % of maxmemory: relaying pauses. Raise maxmemory or clean queues.",
    );
  }
  return fleet.store.asSystem(async (tx) => {
    const rows = await claimHints(tx, BATCH);
    if (rows.length === 0) return 0;
    const { valid, poisoned } = partition(rows);
    await fleet.broker.addJobs(valid.map(({ row, queue }) => ({ queue, payload: row.payload, delayMs: row.delayMs })));
    await fleet.faultPoint("relay:between");
    for (const { row, error } of poisoned) {
      fleet.log.error(
        { event: "outbox.poisoned", outboxId: row.id, topic: row.topic, error },
        "an outbox row cannot be relayed",
      );
      await markHintsFailed(tx, {
        ids: [row.id],
        error,
        pauseMs: 60_000 * (row.retryCount + 1),
        maxTries: MAX_TRIES,
      });
    }
    return rows.length;
  });
}

interface PartitionedRows {
  readonly valid: { readonly row: OutboxRow; readonly queue: QueueDefinition }[];
  readonly poisoned: { readonly row: OutboxRow; readonly error: string }[];
}

/** What no queue would take is told apart before, so that one bad row cannot hold up the others. */
function partition(rows: readonly OutboxRow[]): PartitionedRows {
  const batch: PartitionedRows = { valid: [], poisoned: [] };
  for (const row of rows) {
    const queue = findQueue(row.topic);
    const parsed = queue?.payload.safeParse(row.payload);
    if (queue && parsed?.success) batch.valid.push({ row, queue });
    else batch.poisoned.push({ row, error: parsed?.error?.message ?? `there is no queue ${row.topic}` });
  }
  return batch;
}

function findQueue(name: string): QueueDefinition | undefined {
  const host = /^host\.(?<id>[A-Za-z0-9-]+)$/.exec(name)?.groups?.["id"];
  return host ? hostQueue(host) : QUEUES.find((queue) => queue.name === name);
}
