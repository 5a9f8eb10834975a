/** The events of a task, and the page that describes them. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DRIFT_EVENT_DESCRIPTION } from "../../../src/domain/drift/report.ts";
import {
  EVENT_DESCRIPTIONS,
  NAMED_EVENT_BY_STATUS,
  NamedEvent,
  ORDER_EVENT_DESCRIPTIONS,
  TaskEvent,
  taskEvents,
} from "../../../src/domain/notify/event.ts";
import { OrderStatus } from "../../../src/domain/orders/order.ts";
import { TaskStatus, VALID_TRANSITIONS } from "../../../src/domain/task/task.ts";

const task = {
  id: "018f3b1e-7c2a-7def-8a90-1234567890ab",
  tenantId: "acme",
  operatorId: "ada",
  attempt: 0,
  version: 4,
  branch: "fleet/567890ab-fix-the-login",
  prUrl: null,
};
const change = { task, actor: "worker", at: new Date("2026-01-02T03:04:05Z") };

test("every transition has its own event, with a specific type where the status has one", () => {
  for (const from of TaskStatus.options) {
    for (const to of VALID_TRANSITIONS[from]) {
      const events = taskEvents({ ...change, from, to });
      const named = NAMED_EVENT_BY_STATUS[to];

      expect(events.map(({ type }) => type)).toEqual([`fleet.task.${to}`, ...(named ? [named] : [])]);
      for (const event of events) expect(TaskEvent.parse(event)).toEqual(event);
    }
  }
});

test("an event that is published twice has the same id; another version has another", () => {
  const [first] = taskEvents({ ...change, from: "spawning", to: "running" });
  const [again] = taskEvents({ ...change, from: "spawning", to: "running" });
  const [later] = taskEvents({ ...change, task: { ...task, version: 5 }, from: "spawning", to: "running" });

  expect(again?.id).toBe(first?.id);
  expect(later?.id).not.toBe(first?.id);
});

test("attribute names are valid in CloudEvents", () => {
  const [event] = taskEvents({ ...change, from: null, to: "proposed" });

  for (const name of Object.keys(event ?? {})) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
});

test("docs/events.md lists every type and shows a valid event", () => {
  const page = readFileSync(new URL("../../../docs/events.md", import.meta.url), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| `"));
  const example: unknown = JSON.parse(/```json\n([^`]+)```/.exec(page)?.[1] ?? "");

  expect(
    rows.map((row) =>
      row
        .split("|")
        .slice(1, 3)
        .map((cell) => cell.trim()),
    ),
  ).toEqual([
    ...TaskStatus.options.map((status) => [
      `\`fleet.task.${status}\``,
      NAMED_EVENT_BY_STATUS[status] ? `\`${NAMED_EVENT_BY_STATUS[status]}\`` : "",
    ]),
    ...OrderStatus.options.map((status) => [`\`fleet.order.${status}\``, ORDER_EVENT_DESCRIPTIONS[status]]),
    ["`fleet.drift.found`", DRIFT_EVENT_DESCRIPTION],
    ...NamedEvent.options.map((name) => [`\`${name}\``, EVENT_DESCRIPTIONS[name]]),
  ]);
  expect(example).toEqual(taskEvents({ ...change, from: "spawning", to: "running" })[1]);
});
