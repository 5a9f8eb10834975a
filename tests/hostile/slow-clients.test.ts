/**
 * Slow clients, each on its own connection to a real server with short timeouts: disconnected in time, while others
 * are served.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { defineRoute } from "../../src/http/route.ts";
import { testApi, type TestApi } from "../support/api.ts";
import { About } from "./cases.ts";
import file from "./http.json" with { type: "json" };

const Slow = z.strictObject({ ...About, at_once: z.string(), drip: z.string() });
const slow = z.array(Slow).parse(file.slow);
const PATIENCE = { headersMs: 200, requestMs: 400 };
const DRIP_MS = 50;
/** Long enough for a busy machine; without our own timeouts it would be Node's five minutes. */
const HANG_MS = 10_000;

const ROUTE = defineRoute(
  {
    method: "post",
    path: "/api/fleet/me",
    tier: "observer",
    summary: "Takes a body",
    body: z.unknown(),
    reply: z.object({}),
  },
  async (_context: unknown) => ({ body: {} }),
);

let api: TestApi;
let auth: string;
beforeAll(async () => {
  api = await testApi([ROUTE], () => ({ timeouts: PATIENCE }));
  auth = `Host: x\r\nAuthorization: Bearer ${await api.token()}\r\n`;
});
afterAll(() => api.close());

describe.concurrent("the server disconnects a client that", () => {
  test.each(slow)("$name", async ({ at_once: start, drip }) => {
    const { hostname, port } = new URL(api.url);
    const socket = connect({ host: hostname, port: Number(port) });
    let received = "";
    socket.on("data", (part: Buffer) => void (received += part.toString("latin1")));
    socket.on("error", () => undefined);
    socket.write(start.replace("{auth}", auth));
    const dripping = setInterval(() => void (drip && socket.write(drip)), DRIP_MS);
    const late = setTimeout(() => socket.destroy(new Error("late")), HANG_MS);

    const began = performance.now();
    await once(socket, "close").catch(() => undefined);
    clearInterval(dripping);
    clearTimeout(late);

    expect(performance.now() - began).toBeLessThan(HANG_MS);
    expect(received).not.toMatch(/^HTTP\/1\.1 5/m);
    expect(
      received
        .split("HTTP/1.1 4")
        .slice(1)
        .filter((answer) => !answer.includes("x-request-id: ")),
    ).toEqual([]);
    expect((await fetch(new URL("/healthz", api.url))).status).toBe(200);
  });
});
