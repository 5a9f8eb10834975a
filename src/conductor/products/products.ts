/** The state of products: their kill switches, latest runs and next schedule; and stopping and releasing them. */
import type { ProductStop } from "../../domain/task/kill-switch.ts";
import type { Operator } from "../../domain/operator.ts";
import type { Product } from "../../domain/product.ts";
import { toScheduleFacts, nextSlot, type Schedule } from "../../domain/orders/schedule.ts";
import { deleteKillSwitch, upsertKillSwitch } from "../../store/kill-switches.ts";
import { auditBy } from "../../store/operators.ts";
import { listLatestRuns } from "../../store/runs.ts";
import { listSchedules } from "../../store/schedules.ts";
import type { Fleet } from "../fleet.ts";
import { getProduct, productsOf } from "./find.ts";
import { currentKillSwitches, findStop } from "./kill-switches.ts";
import type { Run } from "../../domain/orders/run.ts";

export interface ProductState {
  readonly product: Product;
  readonly stop: ProductStop | undefined;
  /** The latest finished run of each intent. */
  readonly runs: readonly Run[];
  /** The next slot of its schedule; undefined when it has no schedule with fixed times. */
  readonly next: Date | undefined;
}

/** Those of the operator's tenant, in the order of fleet.yaml. */
export async function listProducts(fleet: Fleet, by: Operator): Promise<ProductState[]> {
  return readProductStates(fleet, by, productsOf(fleet, by.tenantId));
}

export async function findProductState(fleet: Fleet, by: Operator, id: string): Promise<ProductState> {
  const product = getProduct(fleet, by.tenantId, id);
  const [state] = await readProductStates(fleet, by, [product]);
  if (!state) throw new Error(`The state of product ${id} was not read.`);
  return state;
}

/** Three statements, however many products there are. */
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

/** Applies at once in every process, until an operator releases it. */
export async function killProduct(fleet: Fleet, by: Operator, id: string, reason: string): Promise<ProductState> {
  const { id: productId } = getProduct(fleet, by.tenantId, id);
  await fleet.store.asSystem(async (tx) => {
    const target = { tenantId: by.tenantId, scope: "product", subject: productId } as const;
    await upsertKillSwitch(tx, { ...target, mode: "park", endsOrders: true, operatorId: by.id, reason });
    await auditBy(tx, by, "product.killed", { productId, reason });
  });
  return findProductState(fleet, by, id);
}

/** A product that fleet.yaml stops stays stopped, as the returned state says. Releasing one that is not stopped changes nothing. */
export async function releaseProduct(fleet: Fleet, by: Operator, id: string): Promise<ProductState> {
  const { id: productId } = getProduct(fleet, by.tenantId, id);
  await fleet.store.asSystem(async (tx) => {
    const dropped = await deleteKillSwitch(tx, { tenantId: by.tenantId, scope: "product", subject: productId });
    if (!dropped) return;
    await auditBy(tx, by, "product.released", { productId });
  });
  return findProductState(fleet, by, id);
}
