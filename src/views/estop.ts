/** Kill switches as the API returns them, and requests to engage and release them. */
import { z } from "zod";
import { EstopMode, EstopScope, type EstopSwitch } from "../domain/task/kill-switch.ts";
import { toIsoOrNull } from "./fields.ts";

export const EstopView = z
  .object({
    scope: EstopScope,
    subject: z.string().meta({ description: "The task, the product or the tenant; * for the fleet" }),
    tenantId: z.string().meta({ description: "The tenant it belongs to; * for the fleet" }),
    mode: EstopMode.meta({
      description: "park: nothing new starts; freeze: what runs is paused, too; abort: what runs is stopped, too",
    }),
    reason: z.string(),
    by: z.string().nullable().meta({ description: "Who stopped it; null: fleet.yaml" }),
    at: z.iso.datetime().nullable(),
  })
  .meta({ id: "Estop" });
export type EstopView = z.infer<typeof EstopView>;

export const EstopsView = z.object({ stops: z.array(EstopView) }).meta({ id: "Estops" });
export type EstopsView = z.infer<typeof EstopsView>;

const target = {
  scope: EstopScope,
  subject: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .meta({ description: "Task, product or tenant; not needed for your own tenant and for the fleet" }),
};
const Why = z.string().trim().min(1, "say why").max(500);

export const EstopRequest = z.strictObject({
  ...target,
  mode: EstopMode.default("park"),
  reason: Why.meta({ description: "Shown with everything that it stops" }),
});
export const EstopRelease = z.strictObject({ ...target, reason: Why.optional() });

/** The kill switch that stops one task or product, in short. */
export const HoldView = EstopView.pick({ scope: true, subject: true, mode: true, reason: true }).meta({ id: "Hold" });

export function viewHold(hold: EstopSwitch | undefined): z.infer<typeof HoldView> | null {
  if (!hold) return null;
  const { scope, subject, mode, reason } = hold;
  return { scope, subject, mode, reason };
}

export const Stops = z.array(EstopView).meta({ description: "The engaged kill switches, widest first" });

/** What an observer sees of it; the operator who engaged a fleet-wide one is no secret. */
export function viewEstop({ scope, subject, tenantId, mode, reason, operatorId, at }: EstopSwitch): EstopView {
  return { scope, subject, tenantId, mode, reason, by: operatorId, at: toIsoOrNull(at) };
}

export function viewEstops(switches: readonly EstopSwitch[]): EstopView[] {
  return switches.map((one) => viewEstop(one));
}
