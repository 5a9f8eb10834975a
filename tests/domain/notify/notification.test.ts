/** Who is notified of what, with which text, and what follows from each delivery attempt. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decideCoalescing,
  decideDelivery,
  DELIVERY_POLICY,
  parseRetryAfter,
  summarise,
} from "../../../src/domain/notify/delivery.ts";
import {
  composeNotification,
  Notification,
  NOTIFICATION_KINDS,
  notificationFor,
  NotificationType,
  NOTIFICATION_BY_TRANSITION,
} from "../../../src/domain/notify/notification.ts";
import { FailureClass, isTerminal, TaskStatus, VALID_TRANSITIONS } from "../../../src/domain/task/task.ts";

const now = new Date("2026-01-02T03:04:05Z");
const task = {
  id: "018f3b1e-7c2a-7def-8a90-1234567890ab",
  title: "Fix the login",
  prUrl: "https://git.example.com/pr/7",
  branch: "fleet/567890ab-fix",
  attempt: 1,
  spend: { cost: 1.25 },
};

test("the table has exactly the transitions that exist", () => {
  for (const from of TaskStatus.options) {
    expect(Object.keys(NOTIFICATION_BY_TRANSITION[from]).toSorted(), from).toEqual(
      [...VALID_TRANSITIONS[from]].toSorted(),
    );
  }
});

test("every transition to a terminal status is notified, whatever failed before", () => {
  for (const from of TaskStatus.options) {
    for (const to of VALID_TRANSITIONS[from].filter(isTerminal)) {
      for (const failureClass of [undefined, ...FailureClass.options]) {
        expect(notificationFor(from, to, failureClass), `${from} to ${to}`).toBeDefined();
      }
    }
  }
});

test("a failure is notified by its class when people act on that class", () => {
  expect(notificationFor("pr_created", "failed", "ci_failed")).toBe("ci_failed");
  expect(notificationFor("running", "failed", "host_lost")).toBe("host_lost");
  expect(notificationFor("running", "failed", "budget_exceeded")).toBe("budget_exceeded");
  expect(notificationFor("running", "failed", "stall")).toBe("failed");
  expect(notificationFor("merged", "failed")).toBeUndefined();
});

describe("a notification of type", () => {
  test.each(NotificationType.options)("%s names the task, a summary and one command", (type) => {
    const notification = composeNotification(type, task, { detail: "because" });

    expect(Notification.parse(notification)).toEqual(notification);
    expect(notification).toMatchObject({
      taskId: task.id,
      prUrl: task.prUrl,
      branch: task.branch,
      attempt: 1,
      cost: 1.25,
    });
    expect(notification.summary).toBe(`${NOTIFICATION_KINDS[type].title}: Fix the login: because`);
    expect(notification.command).toMatch(/^fleet [a-z]+/);
    expect(composeNotification(type, null).command).not.toContain("{id}");
  });
});

test("a summary is one short line without secrets or escape sequences, whatever the detail", () => {
  const secret = `ghp_${"a1B2".repeat(9)}`;
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 2_000 }), (detail) => {
      const { summary } = composeNotification("failed", task, { detail: `${secret} \x1b[31m\n${detail}` });

      expect(summary).not.toContain(secret);
      expect(summary).not.toMatch(/\p{Cc}/u);
      expect(summary.length).toBeLessThanOrEqual(500);
      expect(summary.isWellFormed()).toBe(true);
    }),
  );
});

test("a delivered notification is finished, a refused one falls back at once", () => {
  expect(decideDelivery({ kind: "delivered" }, 1, { now, random: 0 })).toEqual({ do: "finish" });
  expect(decideDelivery({ kind: "permanent", reason: "404" }, 1, { now, random: 0 })).toEqual({
    do: "fall-back",
    reason: "404",
  });
});

test("delays double up to their cap, and the last try falls back", () => {
  const waits = [1, 2, 3, 4, 5].map((tries) => {
    const decision = decideDelivery({ kind: "retryable", reason: "500" }, tries, { now, random: 1 });
    return decision.do === "retry" ? decision.at.getTime() - now.getTime() : 0;
  });

  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000]);
  expect(decideDelivery({ kind: "retryable", reason: "500" }, DELIVERY_POLICY.maxTries, { now, random: 1 })).toEqual({
    do: "fall-back",
    reason: "6 tries failed, the last: 500",
  });
});

test("a delay is never longer than the cap, nor shorter than the receiver requested within reason", () => {
  const policy = { ...DELIVERY_POLICY, maxTries: 1_000 };
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 999 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.option(fc.nat(10_000_000)),
      (tries, random, asked) => {
        const outcome = { kind: "retryable", reason: "429", retryAfterMs: asked ?? undefined } as const;
        const decision = decideDelivery(outcome, tries, { now, random }, policy);
        const waitMs = decision.do === "retry" ? decision.at.getTime() - now.getTime() : -1;

        expect(waitMs).toBeGreaterThanOrEqual(Math.min(asked ?? 0, policy.maxWaitMs));
        expect(waitMs).toBeLessThanOrEqual(Math.max(policy.capMs, Math.min(asked ?? 0, policy.maxWaitMs)));
      },
    ),
  );
});

test("retry-after is read as seconds or as a date, and anything else is ignored", () => {
  expect(parseRetryAfter("7", now)).toBe(7_000);
  expect(parseRetryAfter("0.5", now)).toBe(500);
  expect(parseRetryAfter("Fri, 02 Jan 2026 03:04:35 GMT", now)).toBe(30_000);
  expect(parseRetryAfter("Fri, 02 Jan 2020 03:04:35 GMT", now)).toBe(0);
  for (const value of [undefined, "", "soon", "-1", "1e9", "9".repeat(100)])
    expect(parseRetryAfter(value, now) ?? 0).toBeGreaterThanOrEqual(0);
});

test("the 21st message of a minute waits for a summary, and the minute is a sliding window", () => {
  const sentAt = Array.from({ length: 20 }, (_, index) => new Date(now.getTime() - 40_000 + index * 1_000));

  expect(decideCoalescing(sentAt.slice(1), now)).toEqual({ do: "send" });
  expect(decideCoalescing(sentAt, now)).toEqual({ do: "summarise", at: new Date(now.getTime() + 20_000) });
  expect(decideCoalescing(sentAt, new Date(now.getTime() + 20_000))).toEqual({ do: "send" });
});

test("a summary counts all messages and has the most severe type", () => {
  const many = [
    composeNotification("merged", task),
    composeNotification("failed", task),
    composeNotification("merged", task),
  ];

  expect(summarise(many)).toMatchObject({
    type: "failed",
    taskId: null,
    summary: "3 notifications in a short time: 1 failed, 2 merged",
  });
  expect(summarise([])).toBeUndefined();
});
