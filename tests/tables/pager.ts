/** An added notification channel: its row, and the file that delivers. */
import { z } from "zod";
import type { ChannelRow } from "../../src/domain/notify/channels.ts";
import { type Channel, defineChannel } from "../../src/notify/channel.ts";

const Number = z.string().regex(/^\+\d{5,15}$/, "must be a number with its country code");

export const pager = {
  description: "whom the pager channel calls",
  fields: {
    number: { description: "the number that is called", schema: Number },
    pin: { description: "unlocks the pager", schema: z.string().min(4), sealed: { secret: true } },
  },
  address: "number",
  target: z.strictObject({ number: Number, pin: z.string() }),
  setUp: ["fleet config set notify.pager.number +49301234567"],
  environment: {
    FLEET_PAGER_GATEWAY: z.url().optional().describe("calls pagers; none are called when unset"),
  },
} satisfies ChannelRow;

export function pagerChannel(call: (number: string, text: string) => void): Channel {
  return defineChannel("pager", pager.target, async ({ notification }, { number }) => {
    call(number, notification.summary);
    return { kind: "delivered" };
  });
}
