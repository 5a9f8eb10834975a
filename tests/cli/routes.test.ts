/** The verbs ask by types that are written from docs/openapi.json: what the API does not have does not compile. */
import { expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import type { Api } from "../../src/cli/client/api.ts";
import { buildPath } from "../../src/cli/client/http-client.ts";
import { TaskView } from "../../src/views/task.ts";

/** Never run: tsc holds each line to what it says. */
export async function wrongQuestions(api: Api): Promise<void> {
  const path = { task: "3f9a1c2b" };
  const task = await api.request("GET /api/fleet/tasks/{task}", { path }, TaskView);
  expectTypeOf(task).toEqualTypeOf<TaskView>();

  // @ts-expect-error There is no such route.
  await api.request("GET /api/fleet/nowhere", {}, TaskView);
  // @ts-expect-error Not by this method.
  await api.request("PUT /api/fleet/tasks/{task}", { path }, TaskView);
  // @ts-expect-error The parameter is missing.
  await api.request("GET /api/fleet/tasks/{task}", {}, TaskView);
  // @ts-expect-error It has another name.
  await api.request("GET /api/fleet/tasks/{task}", { path: { id: "3f9a1c2b" } }, TaskView);
  // @ts-expect-error It may not be asked for this.
  await api.request("GET /api/fleet/tasks", { query: { colour: "red" } }, z.unknown());
  // @ts-expect-error The body is missing.
  await api.request("POST /api/fleet/tasks/{task}/reject", { path }, TaskView);
  // @ts-expect-error A comment is text.
  await api.request("POST /api/fleet/tasks/{task}/reject", { path, body: { comment: 7 } }, TaskView);
  // @ts-expect-error There is no such mode.
  await api.request("POST /api/fleet/estop", { body: { scope: "fleet", mode: "nap", reason: "x" } }, z.unknown());
  // @ts-expect-error It answers something else.
  await api.request("GET /api/fleet/hosts", {}, TaskView);
  // @ts-expect-error It streams.
  await api.request("GET /api/fleet/events", {}, z.unknown());
}

test("what was typed stays one segment of the path, and only what was given stands in the query", () => {
  expect(buildPath("/tasks/{task}/logs", { path: { task: "../x?y" }, query: { lines: 5, attempt: undefined } })).toBe(
    "/tasks/..%2Fx%3Fy/logs?lines=5",
  );
  expect(buildPath("/ps", { query: { all: false, orphans: true } })).toBe("/ps?orphans=true");
  expect(buildPath("/keys", {})).toBe("/keys");
});
