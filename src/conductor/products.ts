/** Products as they stand: declared in fleet.yaml, stopped and released by people, looked up within a tenant. */
import { FleetError } from "../domain/errors.ts";
import type { Operator } from "../domain/operator.ts";
import type { Product } from "../domain/product.ts";
import { factsOf, nextSlot } from "../domain/schedule.ts";
import {
  findKillSwitch,
  dropKillSwitch,
  listKillSwitches,
  putKillSwitch,
  type KillSwitch,
} from "../store/kill-switches.ts";
import { auditOperator } from "../store/operators.ts";
import { listLatestRuns, type Run } from "../store/runs.ts";
import { listSchedules, type Schedule } from "../store/schedules.ts";
import type { Tx } from "../store/sql.ts";
import { WORKER } from "../store/store.ts";
import type { Fleet } from "./fleet.ts";
import { sightOf } from "./tasks.ts";

/** Why nothing is planned or run for a product, and who says so. */
export interface Stop {
  readonly by: "fleet.yaml" | "operator";
  readonly reason: string;
  readonly who: string | null;
  readonly at: Date | null;
}

export interface ProductState {
  readonly product: Product;
  readonly stop: Stop | undefined;
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
  return statesOf(fleet, by, products);
}

export async function findProductState(fleet: Fleet, by: Operator, id: string): Promise<ProductState> {
  const [state] = await statesOf(fleet, by, [getProduct(fleet, by.tenantId, id)]);
  if (!state) throw notFound(id);
  return state;
}

/** By id, within the tenant: a product of another one does not exist. Throws "not-found". */
export function getProduct(fleet: Fleet, tenantId: string, id: string): Product {
  const product = productsOf(fleet, tenantId).find((known) => known.id === id);
  if (!product) throw notFound(id);
  return product;
}

function notFound(id: string): FleetError {
  return new FleetError("not-found", `There is no product ${id}. See yours: fleet products`, { productId: id });
}

async function statesOf(fleet: Fleet, by: Operator, products: readonly Product[]): Promise<ProductState[]> {
  const { runs, switches, schedules } = await fleet.store.transaction(sightOf(by), async (tx) => ({
    runs: await listLatestRuns(tx, by.tenantId),
    switches: await listKillSwitches(tx, by.tenantId),
    schedules: await listSchedules(tx, by.tenantId),
  }));
  const now = fleet.clock();
  const scheduled = new Map(schedules.map((schedule) => [schedule.productId, schedule]));
  const stopped = new Map(switches.map((found) => [found.subject, found]));
  const runsOf = new Map<string, Run[]>();
  for (const run of runs) runsOf.set(run.productId, [...(runsOf.get(run.productId) ?? []), run]);
  return products.map((product) => ({
    product,
    stop: stopOf(product, stopped.get(product.id)),
    runs: runsOf.get(product.id) ?? [],
    next: nextOf(scheduled.get(product.id), now),
  }));
}

function nextOf(schedule: Schedule | undefined, now: Date): Date | undefined {
  if (!schedule?.definition || schedule.problems) return undefined;
  return nextSlot(schedule.definition, factsOf(schedule), now);
}

/** fleet.yaml first: it holds however often somebody releases the product. */
export function stopOf({ killSwitch }: Product, found: KillSwitch | undefined): Stop | undefined {
  if (killSwitch.enabled) return { by: "fleet.yaml", reason: killSwitch.reason, who: null, at: null };
  return found && { by: "operator", reason: found.reason, who: found.operatorId, at: found.at };
}

/** Why nothing may be planned, started or gone on with for this product; undefined when nothing stands against it. */
export async function stopReason(fleet: Fleet, product: Product): Promise<string | undefined> {
  if (product.killSwitch.enabled) return product.killSwitch.reason;
  return fleet.store.transaction(WORKER, (tx) => stopReasonIn(tx, product));
}

/** The same inside a transaction that may see the product's tenant. */
export async function stopReasonIn(tx: Tx, product: Product): Promise<string | undefined> {
  return stopOf(product, await findKillSwitch(tx, { tenantId: product.tenant, productId: product.id }))?.reason;
}

export async function assertNotStopped(fleet: Fleet, product: Product): Promise<void> {
  const reason = await stopReason(fleet, product);
  if (reason !== undefined) throw productStopped(product, reason);
}

/** The same for whoever knows only the repository. */
export async function assertGoesOnAt(fleet: Fleet, tenantId: string, repository: string): Promise<void> {
  const switches = await fleet.store.transaction(WORKER, (tx) => listKillSwitches(tx, tenantId));
  const found = new Map(switches.map((one) => [one.subject, one]));
  const stopped = productsOf(fleet, tenantId).filter((product) => stopOf(product, found.get(product.id)));
  const [product] = await productsAt(fleet, stopped, repository);
  const reason = product && stopOf(product, found.get(product.id))?.reason;
  if (product && reason !== undefined) throw productStopped(product, reason);
}

/** Those of the list that live at a repository, as the forge names it: a link to it leads to the same product. */
export async function productsAt(fleet: Fleet, products: readonly Product[], repository: string): Promise<Product[]> {
  const found = [];
  for (const product of products) {
    const named = await fleet.forge.identify(product.repository).catch(() => product);
    if ([named.repository, product.repository].includes(repository)) found.push(product);
  }
  return found;
}

export function productStopped({ id }: Product, reason: string): FleetError {
  return new FleetError("product-stopped", `${id} is stopped: ${reason}. Go on with it: fleet products release ${id}`, {
    productId: id,
    reason,
  });
}

/** Holds at once, for every process, and until somebody releases it. */
export async function killProduct(fleet: Fleet, by: Operator, id: string, reason: string): Promise<ProductState> {
  const { id: productId } = getProduct(fleet, by.tenantId, id);
  await fleet.store.transaction(WORKER, async (tx) => {
    await putKillSwitch(tx, { tenantId: by.tenantId, productId }, { operatorId: by.id, reason });
    await auditOperator(tx, {
      operatorId: by.id,
      actor: by.id,
      action: "product.killed",
      detail: { productId, reason },
    });
  });
  return findProductState(fleet, by, id);
}

/** What fleet.yaml stops stays stopped; the answer says so. Releasing what is not stopped changes nothing. */
export async function releaseProduct(fleet: Fleet, by: Operator, id: string): Promise<ProductState> {
  const { id: productId } = getProduct(fleet, by.tenantId, id);
  await fleet.store.transaction(WORKER, async (tx) => {
    const dropped = await dropKillSwitch(tx, { tenantId: by.tenantId, productId });
    if (!dropped) return;
    await auditOperator(tx, { operatorId: by.id, actor: by.id, action: "product.released", detail: { productId } });
  });
  return findProductState(fleet, by, id);
}
