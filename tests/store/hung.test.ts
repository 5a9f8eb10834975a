/** A PostgreSQL that neither responds nor refuses: the statement times out. */
import { expect, test } from "vitest";
import { z } from "zod";
import { openStore } from "../../src/store/store.ts";
import { testStore } from "../support/store.ts";

const Backend = z.object({ pid: z.int() });

test("a connection that hangs counts as unavailable after the timeout, and is not used again", async () => {
  await using world = await testStore();
  const store = openStore({ url: world.url, maxConnections: 1, statementTimeoutMs: 500, onLostConnection: () => {} });
  const backend = () => store.asSystem((tx) => tx.many(Backend)`select pg_backend_pid() as pid`);
  const [hung] = await backend();
  if (!hung) throw new Error("There is no backend.");
  process.kill(hung.pid, "SIGSTOP");
  try {
    await expect(backend()).rejects.toMatchObject({ code: "database-unavailable" });
    expect((await backend())[0]?.pid).not.toBe(hung.pid);
  } finally {
    process.kill(hung.pid, "SIGCONT");
    await store.close();
  }
});
