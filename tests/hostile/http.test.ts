/**
 * Hostile requests over raw sockets to a real web process: refused by name or answered safely, and the server
 * continues.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Operator } from "../../src/domain/operator.ts";
import { startWeb, type RunningWeb } from "../../src/processes/web.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";
import { About, aTrap, parseCases, Text } from "./cases.ts";
import file from "./http.json" with { type: "json" };

const Case = z.strictObject({
  ...About,
  send: z
    .strictObject({
      method: z.string(),
      path: z.string(),
      headers: z.record(z.string(), z.string()).default({}),
      body: Text.optional(),
      /** The characters of the body are its bytes (latin1). */
      latin1: z.boolean().default(false),
    })
    .optional(),
  /** The characters are the bytes (latin1). */
  raw: Text.optional(),
  expect: z.strictObject({
    status: z.array(z.int()),
    code: z.string().optional(),
    /** The maximum number of responses: a request smuggled behind another gets none. */
    answers: z.int().default(1),
  }),
});
type Case = z.output<typeof Case>;

const ANSWER_MS = 5_000;
const trap = aTrap();
let fleet: TestFleet;
let web: RunningWeb;
let ada: Operator;
let auth: string;
let repository: string;

beforeAll(async () => {
  fleet = await testFleet();
  web = await startWeb(fleet.open, fleet.config, { relays: false });
  ada = await fleet.operator();
  repository = await fleet.aRepository();
  auth = `Host: 127.0.0.1\r\nAuthorization: Bearer ${await web.issueFor(ada, 600_000)}\r\n`;
});
afterAll(async () => {
  trap[Symbol.dispose]();
  await web.close();
  await fleet[Symbol.asyncDispose]();
});

function bytesOf({ send, raw }: Case): Buffer {
  if (!send) return Buffer.from(trap.fill(raw ?? "", { auth }), "latin1");
  const body = Buffer.from(trap.fill(send.body ?? "", { repository }), send.latin1 ? "latin1" : "utf8");
  const headers = Object.entries(send.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = send.body === undefined ? "" : `Content-Length: ${body.length}\r\n`;
  const head = `${send.method} ${send.path} HTTP/1.1\r\n${auth}Connection: close\r\n${headers.join("")}${length}\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

/** Everything that the server sends until it closes the connection; every case requires that it does. */
async function exchange(bytes: Buffer): Promise<string> {
  const { hostname, port } = new URL(web.url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const received: Buffer[] = [];
  socket.on("data", (part: Buffer) => void received.push(part));
  // A server that has refused may close while the rest is being sent.
  socket.on("error", () => undefined);
  const late = setTimeout(() => socket.destroy(new Error("late")), ANSWER_MS);
  socket.write(bytes);
  const began = performance.now();
  await Promise.race([once(socket, "end"), once(socket, "close")]).catch(() => undefined);
  clearTimeout(late);
  socket.destroy();
  expect(performance.now() - began, "the server kept the line").toBeLessThan(ANSWER_MS);
  return Buffer.concat(received).toString("latin1");
}

/** Everything that is wrong with the response. */
function faultsOf(text: string, { status: wanted, code, answers }: Case["expect"]): string[] {
  const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
  const status = statuses[0] ?? 0;
  const isRefused = status >= 400;
  return [
    ...(statuses.length > answers ? [`${statuses.length} answers`] : []),
    ...(wanted.length > 0 && !wanted.includes(status) ? [`${status}, not ${wanted.join(" or ")}`] : []),
    ...(status >= 500 ? [`${status}`] : []),
    ...(status > 0 && !/^x-request-id: [0-9a-f-]{36}\r$/im.test(text) ? ["no id"] : []),
    ...(isRefused && !/^content-type: application\/problem\+json/im.test(text) ? ["no problem document"] : []),
    ...(code && !text.includes(`"/problems/${code}"`) ? [`not ${code}: ${text.slice(-500)}`] : []),
  ];
}

describe("refused by name or answered safely:", () => {
  test.each(parseCases(Case, file))("$name", async (hostile) => {
    expect(faultsOf(await exchange(bytesOf(hostile)), hostile.expect)).toEqual([]);
  });
});

test("after all of them the server responds, has no task, and nothing was run or polluted", async () => {
  expect((await fetch(new URL("/healthz", web.url))).status).toBe(200);
  expect(await fleet.query("select id from fleet_tasks")).toEqual([]);
  expect(fleet.logged.filter(({ level }) => level === "error")).toEqual([]);
  expect(Reflect.get({}, "isAdmin")).toBeUndefined();
  trap.expectUnsprung();
});
