/** The relay: turns outbox rows into queue jobs, at least once, in batches, on every worker at the same time. */
import { hostQueue } from "../../queues/host.ts";
import { QUEUES } from "../../queues/index.ts";
import type { QueueDefinition } from "../../queues/define.ts";
import { FleetError } from "../domain/errors.ts";
import { markHintsFailed, claimHints, type OutboxRow } from "../store/outbox.ts";
import type { Fleet } from "./fleet.ts";

const BATCH = 500;
/** Counts for invalid rows only: while the queue is unavailable, rows wait and no try is counted. */
const MAX_TRIES = 5;
/** A Redis this full will soon refuse writes, and then the workers stop too, so the relay adds nothing more. */
const MAX_MEMORY_PRESSURE = 0.75;

/**
 * Relays until no row waits, and returns how many it relayed. While full batches wait, two lanes work side by side: one
 * claims rows in PostgreSQL as the other adds jobs to the queue.
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

async function relayWhileFull(fleet: Fleet): Promise<number> {
  let total = 0;
  let rows = BATCH;
  while (rows === BATCH) {
    rows = await relayOnce(fleet);
    total += rows;
  }
  return total;
}

/**
 * Relays one batch, and returns how many rows it took. It commits once the queue has the jobs, so no row is marked as relayed
 * that was not; if the process dies in between, the rows are relayed twice.
 */
export async function relayOnce(fleet: Fleet): Promise<number> {
  if ((await fleet.broker.memoryPressure()) > MAX_MEMORY_PRESSURE) {
    throw new FleetError(
      "queue-unavailable",
      "Redis uses more than 75 % of maxmemory: the outbox relay is paused. Raise maxmemory or clean queues.",
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
        "outbox row is invalid and cannot be relayed",
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

/** Finds the rows that no queue would accept, so that one invalid row cannot block the others. */
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
