/** /notifications/test: a real message to the channels of the operator. */
import type { Fleet } from "../../conductor/fleet.ts";
import { sendTestNotification } from "../../conductor/notify/test-message.ts";
import { NotifyTestRequest, NotifyTestView, viewNotifyTest } from "../../views/notification.ts";
import { defineRoute } from "../route.ts";

export const notifyTestRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/notifications/test",
    tier: "builder",
    summary: "Send yourself a test message through your channels, and report the result of each",
    body: NotifyTestRequest,
    reply: NotifyTestView,
    statuses: { 202: "recorded; delivered, or still in progress" },
  },
  async (fleet: Fleet, { operator, body, signal }) => ({
    status: 202,
    body: viewNotifyTest(await sendTestNotification(fleet, operator, body, signal)),
  }),
);
