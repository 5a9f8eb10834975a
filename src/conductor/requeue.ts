/** Adding jobs again: rows say which jobs they wait for, and the queue says which of those it has lost. */
import type { QueueDefinition } from "../../queues/define.ts";
import type { Fleet } from "./fleet.ts";

export interface RequeueResult<Row> {
  /** The queue had no job for these; now it has the same job again. */
  readonly lost: readonly Row[];
  /** Their job ended and did not move the row. The queue ignores an id that it still keeps, so they need a new epoch. */
  readonly spent: readonly Row[];
  /** Their job is in the queue, again or still. */
  readonly queued: readonly Row[];
}

/** Adds what is lost. The caller replaces what is spent, since only the caller knows how to start a new epoch. */
export async function requeueLost<Row>(
  fleet: Fleet,
  queue: QueueDefinition,
  rows: readonly Row[],
  payloadOf: (row: Row) => unknown,
): Promise<RequeueResult<Row>> {
  const jobs = rows.map((row) => ({ row, queue, payload: payloadOf(row) }));
  const ids = jobs.map(({ payload }) => queue.jobId(payload));
  const found = await fleet.broker.getJobStatuses(queue, ids);
  const statuses = ids.map((id) => found.get(id) ?? "missing");
  const lost = jobs.filter((_, index) => statuses[index] === "missing");
  await fleet.broker.addJobs(lost);
  const isSpent = (index: number) => statuses[index] === "completed" || statuses[index] === "failed";
  return {
    lost: lost.map(({ row }) => row),
    spent: rows.filter((_, index) => isSpent(index)),
    queued: rows.filter((_, index) => !isSpent(index)),
  };
}
