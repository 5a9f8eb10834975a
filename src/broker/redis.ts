/** BullMQ on Redis: one connection for producers, one for workers' writes, and one blocking connection per worker. */
import { Queue, Worker } from "bullmq";
import { Redis, type RedisOptions as IoredisOptions } from "ioredis";
import { FleetError } from "../domain/errors.ts";
import { MAX_EVENTS, type Backend } from "./contract.ts";
import { settlesWithin, withTimeout } from "../domain/abort.ts";

interface RedisOptions {
  readonly url: string;
  readonly prefix: string;
  readonly onError: (error: Error) => void;
}

/** A producer holds row locks of the outbox while it waits, so a Redis that hangs must not block PostgreSQL too. */
const COMMAND_TIMEOUT_MS = 3_000;
const OPEN_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 1_000;
/** Longer than the longest blocking read (10 s), so only a dead connection is closed; without it a hung one would stay open forever. */
const SOCKET_TIMEOUT_MS = 20_000;
const MEMORY_POLL_MS = 1_000;
/** The minimum that BullMQ recommends, and the oldest version that was tested. */
const MIN_VERSION = [6, 2] as const;

export async function openRedisBackend(options: RedisOptions): Promise<Backend> {
  const producer = await openProducer(options);
  // No command timeout here: it would lose a worker's result, and would end every blocking read.
  const consumer = connect(options, { maxRetriesPerRequest: null, socketTimeout: SOCKET_TIMEOUT_MS });
  let pressure = { value: 0, readAt: -MEMORY_POLL_MS };

  return {
    name: "redis",
    databaseConnections: 0,

    openQueue(name) {
      const streams = { events: { maxLen: MAX_EVENTS } };
      return new Queue(name, { connection: producer, prefix: options.prefix, streams }).on("error", options.onError);
    },

    openWorker(name, processor, settings) {
      const worker = new Worker(name, processor, { ...settings, connection: consumer, prefix: options.prefix });
      return worker.on("error", options.onError);
    },

    runExclusive: (work) => work(), // a Lua script is atomic

    async memoryPressure() {
      if (performance.now() - pressure.readAt < MEMORY_POLL_MS) return pressure.value;
      const { used_memory: used, maxmemory: limit } = parseInfo(await producer.info("memory"));
      pressure = { value: Number(limit) > 0 ? Number(used) / Number(limit) : 0, readAt: performance.now() };
      return pressure.value;
    },

    async close() {
      const clients = [producer, consumer];
      await Promise.all(clients.map((client) => settlesWithin(CLOSE_TIMEOUT_MS, client.quit())));
      for (const client of clients) client.disconnect();
    },
  };
}

/** Drops the option that chooses how replies are typed. */
type ConnectOptions = Omit<IoredisOptions, "replyMapping">;

function connect({ url, onError }: RedisOptions, overrides: ConnectOptions): Redis {
  const options: ConnectOptions = {
    connectTimeout: 5_000,
    keepAlive: 10_000,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2_000),
    ...overrides,
  };
  return new Redis(url, options).on("error", onError);
}

/** Rejects a Redis that would lose jobs silently. */
async function openProducer(options: RedisOptions): Promise<Redis> {
  let lastError: Error | undefined;
  const onError = (error: Error) => void (lastError = error);
  const client = connect(
    { ...options, onError },
    {
      commandTimeout: COMMAND_TIMEOUT_MS,
      maxRetriesPerRequest: 1, // fails while Redis is down, instead of buffering old adds in memory until it returns
      lazyConnect: true,
    },
  );
  try {
    await withTimeout(OPEN_TIMEOUT_MS, client.connect());
    await assertRedisUsable(client);
  } catch (cause) {
    client.disconnect();
    if (cause instanceof FleetError) throw cause;
    const reason = lastError ?? (cause instanceof Error ? cause : new Error(String(cause)));
    const sentence = `Redis at ${new URL(options.url).host} cannot be used: ${reason.message}. Check REDIS_URL, and that the server runs.`;
    throw new FleetError("queue-unavailable", sentence, {}, reason);
  }
  client.off("error", onError);
  return client.on("error", options.onError);
}

async function assertRedisUsable(client: Redis): Promise<void> {
  const info = parseInfo(await client.info());
  const [major = 0, minor = 0] = (info["redis_version"] ?? "").split(".").map(Number);
  const [minMajor, minMinor] = MIN_VERSION;
  if (major < minMajor || (major === minMajor && minor < minMinor)) {
    const sentence = `Redis ${info["redis_version"]} is too old: Fleetwright needs ${MIN_VERSION.join(".")} or newer. Upgrade it.`;
    throw new FleetError("queue-unusable", sentence, { version: info["redis_version"] });
  }

  const policy = info["maxmemory_policy"] ?? (await readEvictionPolicy(client));
  if (policy === "noeviction") return;
  const sentence =
    `Redis may throw away queued jobs: its maxmemory-policy is ${policy ?? "unknown"}. ` +
    `Set it to noeviction: redis-cli config set maxmemory-policy noeviction, and in redis.conf, so that it stays.`;
  throw new FleetError("queue-unusable", sentence, { policy });
}

/** INFO reports the policy on every version that was checked; CONFIG, which hosted servers often forbid, is the fallback. */
async function readEvictionPolicy(client: Redis): Promise<string | undefined> {
  const answer = await client.config("GET", "maxmemory-policy").catch(() => []);
  return Array.isArray(answer) ? String(answer[1]) : undefined;
}

function parseInfo(text: string): Record<string, string> {
  const pairs = text.split(/\r?\n/).map((line) => line.split(/:(.*)/s).slice(0, 2));
  return Object.fromEntries(pairs.filter(([key, value]) => key && value !== undefined));
}
