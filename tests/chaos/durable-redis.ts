/** A redis-server with an append-only file, which can be killed, truncated by its last bytes, and started again. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { findFreePort } from "../../src/store/embedded/postgres-server.ts";

export interface DurableRedis {
  readonly url: string;
  flush(): Promise<void>;
  /** SIGKILL; then the last `lostBytes` that it wrote are cut off, as by a machine that lost its power. */
  kill(lostBytes: number): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function openDurableRedis(dir: string): Promise<DurableRedis> {
  const port = await findFreePort();
  const url = `redis://127.0.0.1:${port}`;
  let server: ChildProcess | undefined;

  async function start(): Promise<void> {
    const durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--aof-load-truncated", "yes"];
    const address = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--maxmemory-policy", "noeviction"];
    server = spawn("redis-server", [...address, ...durable], { stdio: "ignore" });
    for (let tries = 0; tries < 200; tries += 1) {
      if (await isReachable(url)) return;
      await pause(50);
    }
    throw new Error(`redis-server does not come up on port ${port}.`);
  }

  async function stop(): Promise<void> {
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, "exit");
    server.kill("SIGKILL");
    await exited;
  }

  await start();
  return {
    url,
    start,
    stop,
    flush: () => withClient(url, async (client) => void (await client.flushall())),
    async kill(lostBytes) {
      await stop();
      const file = await lastIncrement(dir);
      if (file) await truncate(file, Math.max(0, (await stat(file)).size - lostBytes));
    },
  };
}

async function lastIncrement(dir: string): Promise<string | undefined> {
  const folder = join(dir, "appendonlydir");
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".incr.aof"));
  const name = names.toSorted().at(-1);
  return name === undefined ? undefined : join(folder, name);
}

async function isReachable(url: string): Promise<boolean> {
  return withClient(url, async (client) => (await client.ping()) === "PONG").catch(() => false);
}

async function withClient<Result>(url: string, work: (client: Redis) => Promise<Result>): Promise<Result> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    client.disconnect();
  }
}
