/** Which kill switches are thrown, and whether one of them holds something: one statement, whatever is asked. Remembered nowhere. */
import { FleetError } from "../../domain/errors.ts";
import {
  killSwitchOn,
  describeHold,
  type EstopSubject,
  type EstopSwitch,
  type EstopTarget,
} from "../../domain/task/kill-switch.ts";
import type { Product } from "../../domain/product.ts";
import { shortId, type Task } from "../../domain/task/task.ts";
import { listKillSwitches } from "../../store/kill-switches.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";

/** Those that may hold something of this tenant, or all: as people threw them, and as fleet.yaml says. */
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

/** What holds a product, of the switches that were read. */
export function killSwitchOnProduct(product: Product, switches: readonly EstopSwitch[]): EstopSwitch | undefined {
  const subject = { tenantId: product.tenant, productIds: [product.id] };
  return killSwitchOn([...declaredSwitch(product), ...switches], subject);
}

/** What holds a task; its products are looked for only when one is stopped. */
export async function killSwitchOnTask(
  fleet: Fleet,
  switches: readonly EstopSwitch[],
  task: Pick<Task, "tenantId" | "repository"> & { readonly id?: string },
): Promise<EstopSwitch | undefined> {
  return switches.length === 0 ? undefined : killSwitchOn(switches, await resolveSubject(fleet, switches, task));
}

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

/** As the forge names it: a link to a repository leads to the same product. */
export async function isLocatedAt(fleet: Fleet, product: Product, repository: string): Promise<boolean> {
  if (product.repository === repository) return true;
  const named = await fleet.forges
    .of(product.repository)
    .identify(product.repository)
    .catch(() => product);
  return named.repository === repository;
}

/** Why, in words: of a product that is stopped itself the reason is enough. */
export function killSwitchReason(hold: EstopSwitch): string {
  return hold.scope === "product" ? hold.reason : describeHold(hold);
}

/** "product-stopped" where the product itself is, "stopped" where it is something wider or a task. */
export function killSwitchError(hold: EstopSwitch): FleetError {
  const { scope, subject, mode, reason } = hold;
  const facts = { scope, subject, mode, reason };
  if (scope !== "product")
    return new FleetError("stopped", `${capitalize(describeHold(hold))}. ${releaseInstruction(hold)}`, facts);
  const words = `${subject} is stopped: ${reason}. ${releaseInstruction(hold)}`;
  return new FleetError("product-stopped", words, { ...facts, productId: subject });
}

function releaseInstruction({ scope, subject, operatorId }: EstopTarget & Pick<EstopSwitch, "operatorId">): string {
  if (operatorId === null) return "fleet.yaml says so: edit products[].killSwitch there";
  if (scope === "product") return `Go on with it: fleet products release ${subject}`;
  if (scope === "fleet") return "Go on: fleet estop release --fleet";
  return `Go on: fleet estop release --${scope} ${scope === "agent" ? shortId(subject) : subject}`;
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
