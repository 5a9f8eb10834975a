/** The CLI takes its types from the routes of the API: a call that the API does not have does not compile. */
import { readdir, readFile } from "node:fs/promises";
import { expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import type { Api } from "../../src/cli/client/api.ts";
import { buildPath } from "../../src/cli/client/http-client.ts";
import { webRoutes } from "../../src/http/routes/index.ts";
import { TaskView } from "../../src/views/task.ts";
import { NO_KEYS } from "../support/api.ts";

/** Never runs: tsc checks each line. */
export async function wrongRequests(api: Api): Promise<void> {
  const path = { task: "3f9a1c2b" };
  const task = await api.request("GET /api/fleet/tasks/:task", { path }, TaskView);
  expectTypeOf(task).toEqualTypeOf<TaskView>();

  // @ts-expect-error There is no such route.
  await api.request("GET /api/fleet/nowhere", {}, TaskView);
  // @ts-expect-error Not by this method.
  await api.request("PUT /api/fleet/tasks/:task", { path }, TaskView);
  // @ts-expect-error The parameter is missing.
  await api.request("GET /api/fleet/tasks/:task", {}, TaskView);
  // @ts-expect-error It has another name.
  await api.request("GET /api/fleet/tasks/:task", { path: { id: "3f9a1c2b" } }, TaskView);
  // @ts-expect-error The route has no such parameter.
  await api.request("GET /api/fleet/tasks", { query: { colour: "red" } }, z.unknown());
  // @ts-expect-error The body is missing.
  await api.request("POST /api/fleet/tasks/:task/reject", { path }, TaskView);
  // @ts-expect-error A comment is text.
  await api.request("POST /api/fleet/tasks/:task/reject", { path, body: { comment: 7 } }, TaskView);
  // @ts-expect-error There is no such mode.
  await api.request("POST /api/fleet/estop", { body: { scope: "fleet", mode: "nap", reason: "x" } }, z.unknown());
  // @ts-expect-error The route takes no query.
  await api.request("GET /api/fleet/hosts", { query: { all: true } }, z.unknown());
  // @ts-expect-error The route takes no idempotency key, so a retry would repeat the request.
  await api.request("POST /api/fleet/orders/run", { body: {}, idempotencyKey: "k" }, z.unknown());
  // @ts-expect-error The reply is something else.
  await api.request("GET /api/fleet/hosts", {}, TaskView);
  // @ts-expect-error The route does not stream.
  api.follow("GET /api/fleet/hosts", {}, z.unknown());
  // @ts-expect-error The route streams.
  await api.request("GET /api/fleet/events", {}, z.unknown());
}

test("an argument stays one segment of the path, and the query holds only what is given", () => {
  expect(buildPath("/tasks/:task/logs", { path: { task: "../x?y" }, query: { lines: 5, attempt: undefined } })).toBe(
    "/tasks/..%2Fx%3Fy/logs?lines=5",
  );
  expect(buildPath("/ps", { query: { all: false, orphans: true } })).toBe("/ps?orphans=true");
  expect(buildPath("/keys", {})).toBe("/keys");
});

test("a command's help names role admin exactly where its route needs it", async () => {
  const routes = webRoutes(() => Promise.resolve(""), NO_KEYS);
  const admins = routes
    .filter(({ role }) => role === "admin")
    .map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  const files = await readdir("src/cli/commands");
  const text = (await Promise.all(files.map((file) => readFile(`src/cli/commands/${file}`, "utf8")))).join("\n");
  const verbs = text.split(/: Command = \{/).slice(1);
  const requested = (verb: string) => admins.filter((route) => verb.includes(`"${route}"`));

  expect(new Set(verbs.flatMap(requested))).toEqual(new Set(admins));
  const wrong = verbs.filter((verb) => requested(verb).length > 0 !== /summary: ".*\(role admin\)/.test(verb));
  expect(wrong).toEqual([]);
});
