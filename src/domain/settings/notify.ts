/** fleet.yaml `notify`: which channels are used, and where they send. */
import { z } from "zod";
import { WebhookUrl } from "../text/webhook-url.ts";

export const NotifySettings = z
  .strictObject({
    channels: z
      .array(z.enum(["terminal", "webhook", "email"]))
      .min(1)
      .max(3)
      .default(["terminal"]),
    mute: z.array(z.string().max(64)).max(32).default([]).describe("types of notification nobody wants"),
    webhook: z
      .strictObject({ url: WebhookUrl, secret: z.string().min(16).max(512) })
      .optional()
      .describe("where the webhook channel sends; the secret signs each message"),
    email: z.strictObject({ to: z.email() }).optional().describe("where the e-mail channel sends (FLEET_SMTP_URL)"),
  })
  .superRefine(({ channels, webhook, email }, context) => {
    const without = { webhook: !webhook, email: !email, terminal: false };
    for (const [at, channel] of channels.entries()) {
      if (without[channel]) {
        context.addIssue({
          code: "custom",
          path: ["channels", at],
          message: `needs notify.${channel}: where to send`,
        });
      }
    }
  })
  .prefault({});
