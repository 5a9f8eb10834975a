/** A separate redis-server for a test that would disturb others: kill -9, FLUSHALL, a full memory. */
import { startRedis, type RedisServer } from "./servers.ts";

export interface OwnRedis extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** `kill -9`, and returns when it is dead. All its data is lost. */
  kill(): Promise<void>;
  /** Starts an empty one at the same address. */
  restart(): Promise<void>;
}

/** `await using redis = await ownRedis()`. */
export async function ownRedis(): Promise<OwnRedis> {
  let server: RedisServer = await startRedis();
  const { url, port } = server;
  return {
    url,
    port,
    kill: () => server.stop(),
    async restart() {
      await server.stop();
      server = await startRedis({ port });
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}
