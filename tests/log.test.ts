/** The log: lines that can be searched, without secrets. */
import { expect, test } from "vitest";
import { openLog } from "../src/log.ts";

test("a line has its component, its subject, and the duration", async () => {
  const { log, lines } = await heardLog();

  log.child({ component: "relay" }).info({ taskId: "t-1", event: "relayed", duration_ms: 12 }, "Relayed 3 hints.");

  expect(lines()).toEqual([
    expect.objectContaining({
      level: "info",
      component: "relay",
      taskId: "t-1",
      event: "relayed",
      duration_ms: 12,
      msg: "Relayed 3 hints.",
    }),
  ]);
});

test("secrets are not written: by key at three depths, and in the URLs of messages and errors", async () => {
  const { log, lines } = await heardLog();
  const url = "postgres://fleet:hunter2@db:5432/fleet";

  log.info({ password: "hunter2", request: { authorization: "hunter2", headers: { cookie: "hunter2" } } }, `to ${url}`);
  log.error({ err: new Error(`cannot reach ${url}`, { cause: new Error(url) }), REDIS_URL: "hunter2" });

  expect(JSON.stringify(lines())).not.toContain("hunter2");
  expect(JSON.stringify(lines())).toContain("postgres://fleet:[redacted]@db:5432/fleet");
});

test("lines below the level are omitted", async () => {
  const { log, lines } = await heardLog("warn");

  log.info("quiet");
  log.warn("loud");

  expect(lines()).toHaveLength(1);
});

async function heardLog(level = "info") {
  const written: string[] = [];
  const log = await openLog({ level, to: { write: (line) => written.push(line) } });
  return { log, lines: () => written.map((line): unknown => JSON.parse(line)) };
}
