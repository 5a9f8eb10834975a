/** Looking at many products by turns: each at the head of its base branch, in rounds that are short enough to hold a lock. */
import type { DriftJob } from "../../../queues/drift.ts";
import { driftQueue } from "../../../queues/drift.ts";
import type { NotChecked } from "../../domain/drift/drift.ts";
import type { Operator } from "../../domain/operator.ts";
import { PLANNED_STATUSES, type Product } from "../../domain/product.ts";
import { listLooks, type Look, type LookKind } from "../../store/drift.ts";
import { auditOperator } from "../../store/operators.ts";
import { hint, insertHints } from "../../store/outbox.ts";
import { requestBy, WORKER } from "../../store/store.ts";
import type { Place } from "../../survey/repository.ts";
import type { Fleet } from "../fleet.ts";
import { getProduct, productsOf } from "../products/products.ts";
import { HOUSE_TENANT } from "../scope.ts";
/** What a look at the fleet itself is kept under. */
export const FLEET_SUBJECT = "fleet";

export interface Glance<Seen> {
  readonly product: Product;
  readonly commitSha: string | null;
  /** Undefined when it could not be looked at; `why` says it. */
  readonly seen: Seen | undefined;
  readonly why?: string;
}

export type LookInto<Seen> = (product: Product, place: Place) => Promise<Seen>;

/** The lock of a round must not be held for longer than a minute, whatever the number of products. */
const ROUND_MS = 30_000;

/**
 * Round after round until all were looked at. Under a lock, what another worker is at is left to that one; without one
 * (somebody waits for this very look) it is looked at twice, which keeps the same.
 * A round that outlives its lock (a first fetch of a large repository) has kept what it saw, and the next one goes on.
 */
export async function inRounds(
  fleet: Fleet,
  lock: string | undefined,
  products: readonly Product[],
  round: (products: readonly Product[], isFirst: boolean) => Promise<readonly Product[]>,
): Promise<void> {
  let left: readonly Product[] = products;
  let isFirst = true;
  do {
    let rest: readonly Product[] | undefined;
    try {
      const look = async () => {
        rest = await round(left, isFirst);
      };
      await (lock === undefined ? look() : fleet.store.exclusively(lock, look));
    } catch (error) {
      if (rest === undefined) throw error;
      fleet.log.warn({ event: "look.slow", lock, error: String(error) }, "a round outlived its lock");
    }
    left = rest ?? [];
    isFirst = false;
  } while (left.length > 0);
}

/** As many as fit into a round; `rest` is for the next one. */
export async function lookRound<Seen>(
  fleet: Fleet,
  products: readonly Product[],
  into: LookInto<Seen>,
  signal?: AbortSignal,
): Promise<{ glances: Glance<Seen>[]; rest: readonly Product[] }> {
  const until = performance.now() + ROUND_MS;
  const glances: Glance<Seen>[] = [];
  for (const [at, product] of products.entries()) {
    if (signal?.aborted || performance.now() > until)
      return { glances, rest: signal?.aborted ? [] : products.slice(at) };
    glances.push(await glance(fleet, product, into));
  }
  return { glances, rest: [] };
}

/** One that cannot be read does not keep the others from being looked at. */
export async function glance<Seen>(fleet: Fleet, product: Product, into: LookInto<Seen>): Promise<Glance<Seen>> {
  let commitSha: string | null = null;
  try {
    const repository = await fleet.forge.ensure(product.repository);
    commitSha = await fleet.forge.headOf(repository, product.baseBranch);
    return { product, commitSha, seen: await into(product, { gitDir: repository.gitDir, commitSha }) };
  } catch (error) {
    return { product, commitSha, seen: undefined, why: error instanceof Error ? error.message : String(error) };
  }
}

export function unseen(glances: readonly Glance<unknown>[]): NotChecked[] {
  return glances.flatMap(({ product, seen, why = "it could not be read" }) =>
    seen === undefined ? [{ what: `product:${product.id}`, why }] : [],
  );
}

/** Those that there is something to look at of: enabled, and in a status that is worked on. */
export function lookedAt(fleet: Fleet, tenantId: string): Product[] {
  return productsOf(fleet, tenantId).filter((product) => passedOver(product) === undefined);
}

function passedOver({ enabled, status }: Product): string | undefined {
  if (!enabled) return "it is not enabled";
  return PLANNED_STATUSES.includes(status) ? undefined : `its status is ${status}`;
}

export function tenantsOf({ settings }: Fleet): string[] {
  return [...new Set([HOUSE_TENANT, ...settings.products.map(({ tenant }) => tenant)])].toSorted();
}

/** Asks for a look, through the queue: whoever holds the repositories answers. */
export async function requestLook(
  fleet: Fleet,
  by: Operator,
  look: Extract<DriftJob, { lookId: string }>["look"],
  productId: string | undefined,
): Promise<{ lookId: string; askedAt: Date }> {
  if (productId !== undefined) getProduct(fleet, by.tenantId, productId);
  const lookId = fleet.newId();
  const askedAt = fleet.clock();
  const job = { look, tenantId: by.tenantId, lookId, ...(productId === undefined ? {} : { productId }) };
  const owner = { tenantId: by.tenantId, operatorId: by.id };
  const action = look === "asked" ? "drift.asked" : "science.asked";
  await fleet.store.transaction(requestBy(by), async (tx) => {
    await insertHints(tx, owner, [hint(driftQueue, job)]);
    await auditOperator(tx, {
      operatorId: by.id,
      actor: by.id,
      action,
      detail: { lookId, product: productId ?? null },
    });
  });
  fleet.kickRelay();
  return { lookId, askedAt };
}

export interface Looks {
  /** Everything asked about was looked at since; undefined when something never was. */
  readonly lookedAt: Date | undefined;
  readonly notChecked: readonly NotChecked[];
}

/** When a tenant's products (and, for the house, the fleet) were last looked at; or one of them. */
export async function looksOf(fleet: Fleet, kind: LookKind, { tenantId, productId }: Scope): Promise<Looks> {
  const looks = await fleet.store.transaction(WORKER, (tx) => listLooks(tx, kind, tenantId));
  const bySubject = new Map(looks.map((look) => [look.subject, look]));
  const found = subjectsOf(fleet, kind, { tenantId, productId }).map((subject) => bySubject.get(subject));
  if (found.length === 0) return { lookedAt: fleet.clock(), notChecked: leftAside(fleet, { tenantId, productId }) };
  const times = found.map((look) => look?.at);
  const known = found.filter((look): look is Look => look !== undefined);
  const notChecked = [...known.flatMap((look) => look.notChecked), ...leftAside(fleet, { tenantId, productId })];
  if (times.includes(undefined)) return { lookedAt: undefined, notChecked };
  const oldest = known.toSorted((a, b) => a.at.getTime() - b.at.getTime())[0];
  return { lookedAt: oldest?.at, notChecked };
}

interface Scope {
  readonly tenantId: string;
  readonly productId?: string | undefined;
}

function leftAside(fleet: Fleet, { tenantId, productId }: Scope): NotChecked[] {
  return productsOf(fleet, tenantId).flatMap((product) => {
    const why = passedOver(product);
    const isMeant = productId === undefined || productId === product.id;
    return why !== undefined && isMeant ? [{ what: productSubject(product.id), why }] : [];
  });
}

function subjectsOf(fleet: Fleet, kind: LookKind, { tenantId, productId }: Scope): string[] {
  const looked = lookedAt(fleet, tenantId).filter(({ id }) => productId === undefined || productId === id);
  const products = looked.map(({ id }) => productSubject(id));
  if (productId !== undefined) return products;
  return kind === "drift" && tenantId === HOUSE_TENANT ? [FLEET_SUBJECT, ...products] : products;
}

export function productSubject(productId: string): string {
  return `product:${productId}`;
}
