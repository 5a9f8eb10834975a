/** Streams: resumed after an interruption, ended when they are complete, closed when the server closes. */
import { once } from "node:events";
import { expect, test } from "vitest";
import { z } from "zod";
import { followStream } from "../../../src/cli/client/stream.ts";
import { defineStream } from "../../../src/http/route.ts";
import { testApi, type TestApi } from "../../support/api.ts";
import { eventually } from "../../support/eventually.ts";

const Count = z.object({ n: z.int() });

/** Counts to `last`; the connection is lost once after the event `breakAt`. */
function counter({ last, breakAt = -1, forever = false }: { last: number; breakAt?: number; forever?: boolean }) {
  const seen: (string | undefined)[] = [];
  const state = { broken: false, stopped: 0 };
  const route = defineStream(
    { path: "/api/fleet/count", tier: "observer", summary: "Count", reply: Count },
    async (_context: unknown, { lastEventId, signal }) => {
      seen.push(lastEventId);
      return (async function* () {
        try {
          for (let n = Number(lastEventId ?? 0) + 1; n <= last; n += 1) {
            yield { id: String(n), event: "count", data: { n } };
            if (n === breakAt && !state.broken) {
              state.broken = true;
              throw new Error("the connection breaks here");
            }
          }
          if (forever) await once(signal, "abort");
        } finally {
          state.stopped += 1;
        }
      })();
    },
  );
  return { route, seen, state };
}

const problemOf = (status: number) => Promise.resolve(new Error(String(status)));

/** As the CLI does. */
async function* follow(api: TestApi) {
  const headers = { authorization: `Bearer ${await api.token()}` };
  yield* followStream(
    { url: new URL("/api/fleet/count", api.url), headers, signal: undefined, parseProblem: problemOf },
    Count,
  );
}

test("a reader gets every event once, in order, across a lost connection", async () => {
  const { route, seen } = counter({ last: 6, breakAt: 3 });
  await using api = await testApi([route]);

  const got: number[] = [];
  for await (const { data } of follow(api)) got.push(data.n);

  expect(got).toEqual([1, 2, 3, 4, 5, 6]);
  expect(seen).toEqual([undefined, "3"]);
});

test("a reader that disconnects ends its source", async () => {
  const { route, state } = counter({ last: 2, forever: true });
  await using api = await testApi([route]);

  for await (const { data } of follow(api)) if (data.n === 2) break;

  expect(await eventually(async () => state.stopped || undefined)).toBe(1);
});

test("closing the server ends its streams without waiting for them", async () => {
  const { route, state } = counter({ last: 1, forever: true });
  const api = await testApi([route]);
  const response = await fetch(new URL("/api/fleet/count", api.url), {
    headers: { authorization: `Bearer ${await api.token()}` },
  });
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);

  const started = Date.now();
  await api.close();
  expect(await response.text()).toContain('data: {"n":1}');
  expect(state.stopped).toBe(1);
  expect(Date.now() - started).toBeLessThan(4_000);
});

test("a refused stream is answered with a problem, not a stream", async () => {
  const { route } = counter({ last: 1 });
  await using api = await testApi([route]);
  const response = await fetch(new URL("/api/fleet/count?colour=red", api.url), {
    headers: { authorization: `Bearer ${await api.token()}` },
  });
  expect(response.status).toBe(422);
});
