/** Tenants: which one is Fleetwright's own, and the settings of each in fleet.yaml. */
import { z } from "zod";

/** The tenant of Fleetwright itself (its hosts, its database, its timers) and of products that name none. */
export const SYSTEM_TENANT = "local";

/** In the place of a person or a key: the tenant as a whole. */
export const WHOLE_TENANT = "*";

const TenantSettings = z.strictObject({
  unixUser: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}$/)
    .refine((name) => name !== "root", { message: "may not be root" })
    .optional()
    .describe("the Unix user its agents run as on hosts whose worker is root; no other tenant may use it"),
});

/** Two tenants with the same user could read each other's files, so that is refused. */
function checkUniqueUsers(tenants: Tenants, context: z.RefinementCtx): void {
  const seen = new Map<string, string>();
  for (const [id, { unixUser }] of Object.entries(tenants)) {
    if (unixUser === undefined) continue;
    const other = seen.get(unixUser);
    if (other !== undefined)
      context.addIssue({ code: "custom", path: [id, "unixUser"], message: `is already used by ${other}` });
    seen.set(unixUser, id);
  }
}

export const Tenants = z
  .record(z.string().min(1).max(128), TenantSettings)
  .superRefine(checkUniqueUsers)
  .default({})
  .describe("settings by tenant id");
type Tenants = Readonly<Record<string, z.infer<typeof TenantSettings>>>;

/** Returns the Unix user that a tenant's agents and commands run as; undefined when they run as the worker's user. */
export function unixUserOf({ tenants }: { readonly tenants: Tenants }, tenantId: string): string | undefined {
  return Object.hasOwn(tenants, tenantId) ? tenants[tenantId]?.unixUser : undefined;
}
