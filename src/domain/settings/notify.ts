/** fleet.yaml `notify`: which channels are used, and where they send. */
import { z } from "zod";
import type { ChannelRow, ChannelTable } from "../notify/channels.ts";

interface NotifySettings {
  readonly channels: readonly string[];
  readonly mute: readonly string[];
  /** By channel, for those that are set up. */
  readonly targets: Readonly<Record<string, unknown>>;
}

/** The block has a block of its own for each channel that needs a target. */
export function notifySettings(channels: ChannelTable) {
  const names = Object.keys(channels);
  const blocks = Object.entries(channels)
    .filter(([, { address }]) => address !== null)
    .map(([name, row]) => [name, targetBlock(row)] as const);
  return z
    .strictObject({
      channels: z.array(z.enum(names)).min(1).max(names.length).default(["terminal"]),
      mute: z
        .array(z.string().max(64))
        .max(32)
        .default([])
        .describe("types of notification that are not sent; the end of a task still goes to the terminal"),
      ...Object.fromEntries(blocks),
    })
    .superRefine((settings, context) => {
      for (const [at, channel] of settings.channels.entries()) {
        if (channels[channel]?.address === null || Object.hasOwn(settings, channel)) continue;
        const message = `needs notify.${channel}: where to send`;
        context.addIssue({ code: "custom", path: ["channels", at], message });
      }
    })
    .transform(({ channels: used, mute, ...targets }): NotifySettings => ({ channels: used, mute, targets }))
    .prefault({});
}

function targetBlock({ description, fields }: ChannelRow) {
  const shape = Object.fromEntries(Object.entries(fields).map(([field, { schema }]) => [field, schema]));
  return z.strictObject(shape).optional().describe(description);
}
