/** Parameters that several routes take; and what `:task`, `:order` and `:run` name, found before the handler runs. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import { getRunNamed } from "../../conductor/orders/find-runs.ts";
import { getOrderNamed } from "../../conductor/orders/requests.ts";
import { getOwnTask, getTaskNamed } from "../../conductor/tasks/find.ts";
import type { Resource } from "../route.ts";

const Name = z.string().min(2).max(64).meta({ description: "Id, prefix of an id, or short name" });

/** For the one route that reads its task together with everything about it. */
export const TaskParams = z.strictObject({ task: Name });
const OrderParams = z.strictObject({ order: Name });
const RunParams = z.strictObject({ run: Name });

/** `:task`, for every operator who may see it. */
export const visibleTask = defineResource({
  names: TaskParams,
  errors: ["task-not-found", "ambiguous-name"],
  find: async (fleet, by, { task }) => ({ task: await getTaskNamed(fleet, by, task) }),
});

/** `:task`, for its owner. */
export const ownTask = defineResource({
  names: TaskParams,
  owner: true,
  errors: ["task-not-found", "ambiguous-name", "not-owner"],
  find: async (fleet, by, { task }) => ({ task: await getOwnTask(fleet, by, task) }),
});

export const visibleOrder = defineResource({
  names: OrderParams,
  errors: ["not-found", "ambiguous-name"],
  find: async (fleet, by, { order }) => ({ order: await getOrderNamed(fleet, by, order) }),
});

export const visibleRun = defineResource({
  names: RunParams,
  errors: ["not-found", "ambiguous-name"],
  find: async (fleet, by, { run }) => ({ run: await getRunNamed(fleet, by, run) }),
});

/** A run, and the name of one piece of its evidence. */
export const runArtifact = defineResource({
  names: RunParams.extend({ name: z.string().min(1).max(200) }),
  errors: ["not-found", "ambiguous-name"],
  find: async (fleet, by, { run, name }) => ({ run: await getRunNamed(fleet, by, run), name }),
});

/** `?all=true`; it changes nothing for operators who are not admins. */
export const AllTenants = z.stringbool().default(false).meta({ description: "All tenants (role admin)" });

export const ProductParams = z.strictObject({
  product: z.string().min(1).max(64).meta({ description: "Its id, as in fleet.yaml" }),
});

/** Types `find` by the names that it gets. */
function defineResource<Names extends z.ZodType, Found>(
  resource: Resource<Fleet, Names, Found>,
): Resource<Fleet, Names, Found> {
  return resource;
}
