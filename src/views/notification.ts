/** A test message as it leaves the house: to which channels, and how it fared at each. Where they lead is not told. */
import { z } from "zod";

export const NotifyTestRequest = z.strictObject({
  waitSeconds: z
    .int()
    .min(0)
    .max(30)
    .default(0)
    .meta({ description: "How long the answer may wait until every channel has delivered it, or given up" }),
});

const TestDeliveryView = z.object({
  id: z.uuid(),
  channel: z.string(),
  status: z
    .enum(["pending", "delivered", "failed", "merged"])
    .meta({ description: "`merged`: told as one with others, of which there were many" }),
  tries: z.int(),
  error: z.string().nullable().meta({ description: "Of the last try" }),
  leads: z.boolean().meta({ description: "False: nobody has set where this channel leads" }),
});

export const NotifyTestView = z
  .object({
    chosenBy: z.enum(["operator", "tenant", "fleet"]).meta({
      description: "Whose `notify.channels` holds; `fleet`: that of fleet.yaml, the terminal when it says nothing",
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
