/** Products as they stand: declared in fleet.yaml, stopped and released by people, looked up within a tenant. */
import { FleetError } from "../../domain/errors.ts";
import type { EstopSwitch, ProductStop } from "../../domain/task/kill-switch.ts";
import type { Operator } from "../../domain/operator.ts";
import type { Product } from "../../domain/product.ts";
import { toScheduleFacts, nextSlot, type Schedule } from "../../domain/orders/schedule.ts";
import { deleteKillSwitch, listKillSwitches, upsertKillSwitch } from "../../store/kill-switches.ts";
import { auditBy } from "../../store/operators.ts";
import { listLatestRuns } from "../../store/runs.ts";
import { listSchedules } from "../../store/schedules.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import {
  killSwitchOnProduct,
  killSwitchOnTask,
  isLocatedAt,
  killSwitchReason,
  killSwitchError,
  currentKillSwitches,
} from "./kill-switches.ts";
import type { Run } from "../../domain/orders/run.ts";

export interface ProductState {
  readonly product: Product;
  readonly stop: ProductStop | undefined;
  /** The latest that ended, one for each intent. */
  readonly runs: readonly Run[];
  /** When its schedule asks next; undefined when no clock does. */
  readonly next: Date | undefined;
}

export function productsOf(fleet: Fleet, tenantId: string): Product[] {
  return fleet.settings.products.filter(({ tenant }) => tenant === tenantId);
}

/** Those of the asker's tenant, in the order of fleet.yaml; three statements however many there are. */
export async function listProducts(fleet: Fleet, by: Operator): Promise<ProductState[]> {
  const products = productsOf(fleet, by.tenantId);
  return readProductStates(fleet, by, products);
}

export async function findProductState(fleet: Fleet, by: Operator, id: string): Promise<ProductState> {
  const [state] = await readProductStates(fleet, by, [getProduct(fleet, by.tenantId, id)]);
  if (!state) throw productNotFound(id);
  return state;
}

/** By id, within the tenant: a product of another one does not exist. Throws "not-found". */
export function getProduct(fleet: Fleet, tenantId: string, id: string): Product {
  const product = productsOf(fleet, tenantId).find((known) => known.id === id);
  if (!product) throw productNotFound(id);
  return product;
}

function productNotFound(id: string): FleetError {
  return new FleetError("not-found", `There is no product ${id}. See yours: fleet products`, { productId: id });
}

async function readProductStates(fleet: Fleet, by: Operator, products: readonly Product[]): Promise<ProductState[]> {
  const { runs, schedules } = await fleet.store.as(by, async (tx) => ({
    runs: await listLatestRuns(tx, by.tenantId),
    schedules: await listSchedules(tx, by.tenantId),
  }));
  const switches = await currentKillSwitches(fleet, by.tenantId);
  const now = fleet.clock();
  const scheduled = new Map(schedules.map((schedule) => [schedule.productId, schedule]));
  const runsOf = new Map<string, Run[]>();
  for (const run of runs) runsOf.set(run.productId, [...(runsOf.get(run.productId) ?? []), run]);
  return products.map((product) => ({
    product,
    stop: findStop(product, switches),
    runs: runsOf.get(product.id) ?? [],
    next: nextRunAt(scheduled.get(product.id), now),
  }));
}

function nextRunAt(schedule: Schedule | undefined, now: Date): Date | undefined {
  if (!schedule?.definition || schedule.problems) return undefined;
  return nextSlot(schedule.definition, toScheduleFacts(schedule), now);
}

/** Of all who stopped it: the strictest switch, and fleet.yaml before people, since it holds however often somebody releases it. */
export function findStop(product: Product, switches: readonly EstopSwitch[]): ProductStop | undefined {
  const hold = killSwitchOnProduct(product, switches);
  if (!hold) return undefined;
  const { scope, mode, operatorId, at } = hold;
  return {
    by: operatorId === null ? "fleet.yaml" : "operator",
    reason: killSwitchReason(hold),
    who: operatorId,
    at,
    scope,
    mode,
  };
}

/** Why nothing may be planned or started for this product, read in a transaction that may see its tenant; undefined when it may. */
export async function stopReasonIn(tx: Tx, product: Product): Promise<string | undefined> {
  return findStop(product, await listKillSwitches(tx, product.tenant))?.reason;
}

export async function assertNotStopped(fleet: Fleet, product: Product): Promise<void> {
  const hold = killSwitchOnProduct(product, await currentKillSwitches(fleet, product.tenant));
  if (hold) throw killSwitchError(hold);
}

/** The same for a caller that knows only the repository. */
export async function assertNotStoppedAt(fleet: Fleet, tenantId: string, repository: string): Promise<void> {
  const hold = await killSwitchOnTask(fleet, await currentKillSwitches(fleet, tenantId), { tenantId, repository });
  if (hold) throw killSwitchError(hold);
}

/** Those of the list that live at a repository, as the forge names it: a link to it leads to the same product. */
export async function productsAt(fleet: Fleet, products: readonly Product[], repository: string): Promise<Product[]> {
  const found = [];
  for (const product of products) if (await isLocatedAt(fleet, product, repository)) found.push(product);
  return found;
}

/** Holds at once, for every process, and until somebody releases it. */
export async function killProduct(fleet: Fleet, by: Operator, id: string, reason: string): Promise<ProductState> {
  const { id: productId } = getProduct(fleet, by.tenantId, id);
  await fleet.store.asSystem(async (tx) => {
    const target = { tenantId: by.tenantId, scope: "product", subject: productId } as const;
    await upsertKillSwitch(tx, { ...target, mode: "park", endsOrders: true, operatorId: by.id, reason });
    await auditBy(tx, by, "product.killed", { productId, reason });
  });
  return findProductState(fleet, by, id);
}

/** What fleet.yaml stops stays stopped; the answer says so. Releasing what is not stopped changes nothing. */
export async function releaseProduct(fleet: Fleet, by: Operator, id: string): Promise<ProductState> {
  const { id: productId } = getProduct(fleet, by.tenantId, id);
  await fleet.store.asSystem(async (tx) => {
    const dropped = await deleteKillSwitch(tx, { tenantId: by.tenantId, scope: "product", subject: productId });
    if (!dropped) return;
    await auditBy(tx, by, "product.released", { productId });
  });
  return findProductState(fleet, by, id);
}
