/** Redis or PostgreSQL behind BullMQ. The choice is made here and nowhere else; what each needs is in its own file. */
import type { Backend } from "./contract.ts";
import { openPostgresBackend } from "./postgres.ts";
import { openRedisBackend } from "./redis.ts";

export { migrateQueueBackend } from "./postgres.ts";

export interface BackendOptions {
  /** Queues on Redis when it is set. */
  readonly redisUrl?: string | undefined;
  /** Queues on PostgreSQL otherwise. A direct connection: LISTEN does not work through a transaction-mode pgbouncer. */
  readonly databaseUrl?: string | undefined;
  /**
   * Keeps the queues of several deployments apart in one Redis or database. A proxy in front of a Redis cluster needs a
   * hash tag, so that all keys lie in one slot: `{fleet}`.
   */
  readonly prefix: string;
  readonly onError: (error: Error) => void;
}

export async function openBackend(options: BackendOptions): Promise<Backend> {
  if (options.redisUrl) return openRedisBackend({ ...options, url: options.redisUrl });
  if (options.databaseUrl) return openPostgresBackend({ ...options, url: options.databaseUrl });
  throw new Error("A broker needs a redisUrl or a databaseUrl.");
}
