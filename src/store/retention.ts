/** What is deleted after a time: told outbox rows. Audit entries go by partition, never row by row. */
import type { Tx } from "./sql.ts";

/** Oldest first, at most `limit`; returns how many went. */
export async function pruneOutbox(tx: Tx, keep: { hintsMs: number; eventsMs: number; limit: number }): Promise<number> {
  return tx.run`
    delete from outbox where id = any(array(
      select id from outbox
      where processed_at is not null and processed_at < now() -
        case when topic = 'event' then ${keep.eventsMs}::float8 else ${keep.hintsMs}::float8 end * interval '1 ms'
      order by processed_at limit ${keep.limit}))`;
}
