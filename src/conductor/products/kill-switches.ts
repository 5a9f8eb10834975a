/** The engaged kill switches, and which of them applies to a product or a task. They are read each time, never cached. */
import { FleetError } from "../../domain/errors.ts";
import {
  killSwitchOn,
  describeHold,
  type EstopSubject,
  type EstopSwitch,
  type EstopTarget,
  type ProductStop,
} from "../../domain/task/kill-switch.ts";
import type { Product } from "../../domain/product.ts";
import { shortId, type Task } from "../../domain/task/task.ts";
import { listKillSwitches } from "../../store/kill-switches.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import { isLocatedAt } from "./find.ts";

/** Switches that may apply to this tenant, or all: those that operators engaged, and those that fleet.yaml declares. */
export async function readKillSwitches(fleet: Fleet, tx: Tx, tenantId?: string): Promise<EstopSwitch[]> {
  const products = fleet.settings.products.filter(({ tenant }) => tenantId === undefined || tenant === tenantId);
  return [...products.flatMap((product) => declaredSwitch(product)), ...(await listKillSwitches(tx, tenantId))];
}

/** The same in a transaction of its own. */
export async function currentKillSwitches(fleet: Fleet, tenantId?: string): Promise<EstopSwitch[]> {
  return fleet.store.asSystem((tx) => readKillSwitches(fleet, tx, tenantId));
}

function declaredSwitch({ id, tenant, killSwitch }: Product): EstopSwitch[] {
  if (!killSwitch.enabled) return [];
  const { reason } = killSwitch;
  const target = { tenantId: tenant, scope: "product", subject: id } as const;
  return [{ ...target, mode: "park", reason, endsOrders: true, operatorId: null, at: null }];
}

/** The switch that applies to a product, among those that were read. */
function killSwitchOnProduct(product: Product, switches: readonly EstopSwitch[]): EstopSwitch | undefined {
  const subject = { tenantId: product.tenant, productIds: [product.id] };
  return killSwitchOn([...declaredSwitch(product), ...switches], subject);
}

/** The switch that applies to a task, among those that were read. */
export async function killSwitchOnTask(
  fleet: Fleet,
  switches: readonly EstopSwitch[],
  task: Pick<Task, "tenantId" | "repository"> & { readonly id?: string },
): Promise<EstopSwitch | undefined> {
  return switches.length === 0 ? undefined : killSwitchOn(switches, await resolveSubject(fleet, switches, task));
}

/** Looks for the task's products among the stopped ones only, since each look-up asks the forge. */
async function resolveSubject(
  fleet: Fleet,
  switches: readonly EstopSwitch[],
  { id, tenantId, repository }: Pick<Task, "tenantId" | "repository"> & { readonly id?: string },
): Promise<EstopSubject> {
  const named = new Set(
    switches.flatMap((one) => (one.scope === "product" && one.tenantId === tenantId ? [one.subject] : [])),
  );
  const stopped = fleet.settings.products.filter((product) => product.tenant === tenantId && named.has(product.id));
  const productIds: string[] = [];
  for (const product of stopped) if (await isLocatedAt(fleet, product, repository)) productIds.push(product.id);
  return { tenantId, taskId: id, productIds };
}

/** The reason as text; the switch of the product itself needs no scope. */
export function killSwitchReason(hold: EstopSwitch): string {
  return hold.scope === "product" ? hold.reason : describeHold(hold);
}

/** The strictest switch; fleet.yaml comes before operators, since only an edit of that file releases its switch. */
export function findStop(product: Product, switches: readonly EstopSwitch[]): ProductStop | undefined {
  const hold = killSwitchOnProduct(product, switches);
  if (!hold) return undefined;
  const { scope, mode, operatorId, at } = hold;
  const by = operatorId === null ? "fleet.yaml" : "operator";
  return { by, reason: killSwitchReason(hold), who: operatorId, at, scope, mode };
}

/** Why nothing may be planned or run for this product; undefined when no switch applies to it. */
export async function stopReasonIn(tx: Tx, product: Product): Promise<string | undefined> {
  return findStop(product, await listKillSwitches(tx, product.tenant))?.reason;
}

export async function assertNotStopped(fleet: Fleet, product: Product): Promise<void> {
  const hold = killSwitchOnProduct(product, await currentKillSwitches(fleet, product.tenant));
  if (hold) throw killSwitchError(hold);
}

/** The same for a repository, which may belong to several products or none. */
export async function assertNotStoppedAt(fleet: Fleet, tenantId: string, repository: string): Promise<void> {
  const hold = await killSwitchOnTask(fleet, await currentKillSwitches(fleet, tenantId), { tenantId, repository });
  if (hold) throw killSwitchError(hold);
}

/** "product-stopped" for the switch of a product, "stopped" for that of a task, a tenant or the fleet. */
export function killSwitchError(hold: EstopSwitch): FleetError {
  const { scope, subject, mode, reason } = hold;
  const facts = { scope, subject, mode, reason };
  if (scope !== "product")
    return new FleetError("stopped", `${capitalize(describeHold(hold))}. ${releaseInstruction(hold)}`, facts);
  const message = `Product ${subject} is stopped: ${reason}. ${releaseInstruction(hold)}`;
  return new FleetError("product-stopped", message, { ...facts, productId: subject });
}

function releaseInstruction({ scope, subject, operatorId }: EstopTarget & Pick<EstopSwitch, "operatorId">): string {
  if (operatorId === null) return "Release it in fleet.yaml: products[].killSwitch";
  if (scope === "product") return `Release it: fleet products release ${subject}`;
  if (scope === "fleet") return "Release it: fleet estop release --fleet";
  return `Release it: fleet estop release --${scope} ${scope === "agent" ? shortId(subject) : subject}`;
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
