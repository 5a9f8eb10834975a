/** Parameters that several routes take. */
import { z } from "zod";

/** An id, a prefix of it, or a short name. */
export const TaskParams = z.strictObject({
  task: z.string().min(2).max(64).meta({ description: "Id, prefix of an id, or short name" }),
});

/** `?all=true`: others than admins see their own all the same. */
export const AllTenants = z.stringbool().default(false).meta({ description: "All tenants (role admin)" });

export const ProductParams = z.strictObject({
  product: z.string().min(1).max(64).meta({ description: "Its id, as in fleet.yaml" }),
});
