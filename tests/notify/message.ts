/** A notification as the channels get it; valid by default. */
import type { Message } from "../../src/notify/channel.ts";
import type { Notification } from "../../src/domain/notify/notification.ts";

export function aMessage(changes: Partial<Notification> = {}): Message {
  return {
    id: "018f3b1e-0000-7def-8a90-1234567890ab",
    at: new Date("2026-01-02T03:04:05Z"),
    notification: {
      type: "failed",
      taskId: "018f3b1e-7c2a-7def-8a90-1234567890ab",
      summary: "Attempt failed: Fix the login",
      prUrl: "https://git.example.com/pr/7",
      branch: "fleet/567890ab-fix",
      attempt: 1,
      cost: 1.25,
      command: "fleet logs 018f3b1e-7c2a-7def-8a90-1234567890ab",
      ...changes,
    },
  };
}
