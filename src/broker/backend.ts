/** Chooses Redis or PostgreSQL as BullMQ's backend. Only this file chooses; what each backend needs is in its own file. */
import type { Backend } from "./contract.ts";
import { openPostgresBackend } from "./postgres.ts";
import { openRedisBackend } from "./redis.ts";

export { migrateQueueBackend } from "./postgres.ts";

export interface BackendOptions {
  /** Queues are on Redis when it is set. */
  readonly redisUrl?: string | undefined;
  /** Queues are on PostgreSQL otherwise. It must be a direct connection: LISTEN does not work through a transaction-mode pgbouncer. */
  readonly databaseUrl?: string | undefined;
  /**
   * Separates the queues of several deployments in one Redis or database. A proxy in front of a Redis cluster needs a
   * hash tag, so that all keys are in one slot: `{fleet}`.
   */
  readonly prefix: string;
  readonly onError: (error: Error) => void;
}

export async function openBackend(options: BackendOptions): Promise<Backend> {
  if (options.redisUrl) return openRedisBackend({ ...options, url: options.redisUrl });
  if (options.databaseUrl) return openPostgresBackend({ ...options, url: options.databaseUrl });
  throw new Error("A broker needs a redisUrl or a databaseUrl.");
}
