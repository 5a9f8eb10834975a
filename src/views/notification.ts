/** A test message as the API returns it: its channels, and the result of each. Their targets are not shown. */
import { z } from "zod";

export const NotifyTestRequest = z.strictObject({
  waitSeconds: z
    .int()
    .min(0)
    .max(30)
    .default(0)
    .meta({ description: "How long the reply may wait until every channel has delivered the message or given up" }),
});

const TestDeliveryView = z.object({
  id: z.uuid(),
  channel: z.string(),
  status: z
    .enum(["pending", "delivered", "failed", "merged"])
    .meta({ description: "`merged`: sent together with others, because there were many" }),
  tries: z.int(),
  error: z.string().nullable().meta({ description: "Of the last try" }),
  leads: z.boolean().meta({ description: "false: no target is configured for this channel" }),
});

export const NotifyTestView = z
  .object({
    chosenBy: z.enum(["operator", "tenant", "fleet"]).meta({
      description: "Whose `notify.channels` applies; `fleet`: that of fleet.yaml, or the terminal if it has none",
    }),
    deliveries: z.array(TestDeliveryView),
  })
  .meta({ id: "NotifyTest" });
export type NotifyTestView = z.infer<typeof NotifyTestView>;

interface TestNotification {
  readonly chosenBy: NotifyTestView["chosenBy"];
  readonly deliveries: readonly {
    readonly row: Pick<NotifyTestView["deliveries"][number], "id" | "channel" | "status" | "tries"> & {
      readonly lastError: string | null;
    };
    readonly leads: boolean;
  }[];
}

export function viewNotifyTest({ chosenBy, deliveries }: TestNotification): NotifyTestView {
  return NotifyTestView.parse({
    chosenBy,
    deliveries: deliveries.map(({ row, leads }) => ({ ...row, error: row.lastError, leads })),
  });
}
