/** Tenants: which one is Fleetwright's own, and the settings of each in fleet.yaml. */
import { z } from "zod";

/** The tenant of Fleetwright itself (its hosts, its database, its timers) and of products that name none. */
export const SYSTEM_TENANT = "local";

const TenantSettings = z.strictObject({
  unixUser: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}$/)
    .refine((name) => name !== "root", { message: "may not be root" })
    .optional()
    .describe("as whom its agents run on hosts whose worker is root; a user of this tenant alone"),
});

/** A user that two tenants share would read the one's files for the other. */
function checkUniqueUsers(tenants: Tenants, context: z.RefinementCtx): void {
  const seen = new Map<string, string>();
  for (const [id, { unixUser }] of Object.entries(tenants)) {
    if (unixUser === undefined) continue;
    const other = seen.get(unixUser);
    if (other !== undefined)
      context.addIssue({ code: "custom", path: [id, "unixUser"], message: `is that of ${other}` });
    seen.set(unixUser, id);
  }
}

export const Tenants = z
  .record(z.string().min(1).max(128), TenantSettings)
  .superRefine(checkUniqueUsers)
  .default({})
  .describe("by the id of the tenant");
type Tenants = Readonly<Record<string, z.infer<typeof TenantSettings>>>;

/** As whom the agents and commands of this tenant run; undefined: as the worker does. */
export function unixUserOf({ tenants }: { readonly tenants: Tenants }, tenantId: string): string | undefined {
  return Object.hasOwn(tenants, tenantId) ? tenants[tenantId]?.unixUser : undefined;
}
