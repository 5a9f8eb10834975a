/** Looking at many products by turns: each at the head of its base branch, in rounds that are short enough to hold a lock. */
import { type DriftJob, driftQueue } from "../../../queues/drift.ts";
import type { Operator } from "../../domain/operator.ts";
import { PLANNABLE_STATUSES, type Product } from "../../domain/product.ts";
import { listScans, type ScanRecord, type ScanKind } from "../../store/drift.ts";
import { auditBy } from "../../store/operators.ts";
import { createHint, insertHints } from "../../store/outbox.ts";
import type { CommitRef } from "../../survey/repository.ts";
import type { Fleet } from "../fleet.ts";
import { getProduct, productsOf } from "../products/products.ts";
import { messageOf } from "../../domain/errors.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import type { NotChecked } from "../../domain/drift/finding.ts";
/** What a look at the fleet itself is kept under. */
export const FLEET_SUBJECT = "fleet";

export interface ProductScan<Seen> {
  readonly product: Product;
  readonly commitSha: string | null;
  /** Undefined when it could not be looked at; `why` says it. */
  readonly seen: Seen | undefined;
  readonly why?: string;
}

export type ProductScanner<Seen> = (product: Product, place: CommitRef) => Promise<Seen>;

/** The lock of a round must not be held for longer than a minute, whatever the number of products. */
const ROUND_MS = 30_000;

/**
 * Round after round until all were looked at. Under a lock, what another worker is at is left to that one; without one
 * (somebody waits for this very look) it is looked at twice, which keeps the same.
 * A round that outlives its lock (a first fetch of a large repository) has kept what it saw, and the next one goes on.
 */
export async function scanInRounds(
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
      const scanOnce = async () => {
        rest = await round(left, isFirst);
      };
      await (lock === undefined ? scanOnce() : fleet.store.tryWithLock(lock, scanOnce));
    } catch (error) {
      if (rest === undefined) throw error;
      fleet.log.warn({ event: "look.slow", lock, error: String(error) }, "a round outlived its lock");
    }
    left = rest ?? [];
    isFirst = false;
  } while (left.length > 0);
}

/** As many as fit into a round; `rest` is for the next one. */
export async function scanRound<Seen>(
  fleet: Fleet,
  products: readonly Product[],
  scan: ProductScanner<Seen>,
  signal?: AbortSignal,
): Promise<{ scans: ProductScan<Seen>[]; rest: readonly Product[] }> {
  const until = performance.now() + ROUND_MS;
  const glances: ProductScan<Seen>[] = [];
  for (const [at, product] of products.entries()) {
    if (signal?.aborted || performance.now() > until)
      return { scans: glances, rest: signal?.aborted ? [] : products.slice(at) };
    glances.push(await scanProduct(fleet, product, scan));
  }
  return { scans: glances, rest: [] };
}

/** One that cannot be read does not keep the others from being looked at. */
export async function scanProduct<Seen>(
  fleet: Fleet,
  product: Product,
  scan: ProductScanner<Seen>,
): Promise<ProductScan<Seen>> {
  let commitSha: string | null = null;
  try {
    const repository = await fleet.forge.ensure(product.repository);
    commitSha = await fleet.forge.headOf(repository, product.baseBranch);
    return { product, commitSha, seen: await scan(product, { gitDir: repository.gitDir, commitSha }) };
  } catch (error) {
    return { product, commitSha, seen: undefined, why: messageOf(error) };
  }
}

export function listUnreadable(scans: readonly ProductScan<unknown>[]): NotChecked[] {
  return scans.flatMap(({ product, seen, why = "it could not be read" }) =>
    seen === undefined ? [{ what: `product:${product.id}`, why }] : [],
  );
}

/** Those that there is something to look at of: enabled, and in a status that is worked on. */
export function scannableProducts(fleet: Fleet, tenantId: string): Product[] {
  return productsOf(fleet, tenantId).filter((product) => skipReason(product) === undefined);
}

function skipReason({ enabled, status }: Product): string | undefined {
  if (!enabled) return "it is not enabled";
  return PLANNABLE_STATUSES.includes(status) ? undefined : `its status is ${status}`;
}

export function listTenants({ settings }: Fleet): string[] {
  return [...new Set([SYSTEM_TENANT, ...settings.products.map(({ tenant }) => tenant)])].toSorted();
}

/** Asks for a kind, through the queue: whoever holds the repositories answers. */
export async function requestScan(
  fleet: Fleet,
  by: Operator,
  kind: Extract<DriftJob, { lookId: string }>["kind"],
  productId: string | undefined,
): Promise<{ lookId: string; askedAt: Date }> {
  if (productId !== undefined) getProduct(fleet, by.tenantId, productId);
  const lookId = fleet.newId();
  const askedAt = fleet.clock();
  const job = { kind, tenantId: by.tenantId, lookId, ...(productId === undefined ? {} : { productId }) };
  const owner = { tenantId: by.tenantId, operatorId: by.id };
  const action = kind === "requested" ? "drift.asked" : "science.asked";
  await fleet.store.as(by, async (tx) => {
    await insertHints(tx, owner, [createHint(driftQueue, job)]);
    await auditBy(tx, by, action, { lookId, product: productId ?? null });
  });
  fleet.kickRelay();
  return { lookId, askedAt };
}

export interface ScanStatus {
  /** Everything asked about was looked at since; undefined when something never was. */
  readonly lookedAt: Date | undefined;
  readonly notChecked: readonly NotChecked[];
}

/** When a tenant's products (and, for the house, the fleet) were last looked at; or one of them. */
export async function readScanStatus(
  fleet: Fleet,
  kind: ScanKind,
  { tenantId, productId }: ScanScope,
): Promise<ScanStatus> {
  const scans = await fleet.store.asSystem((tx) => listScans(tx, kind, tenantId));
  const bySubject = new Map(scans.map((look) => [look.subject, look]));
  const found = scanSubjects(fleet, kind, { tenantId, productId }).map((subject) => bySubject.get(subject));
  if (found.length === 0) return { lookedAt: fleet.clock(), notChecked: listSkipped(fleet, { tenantId, productId }) };
  const times = found.map((look) => look?.at);
  const known = found.filter((look): look is ScanRecord => look !== undefined);
  const notChecked = [...known.flatMap((look) => look.notChecked), ...listSkipped(fleet, { tenantId, productId })];
  if (times.includes(undefined)) return { lookedAt: undefined, notChecked };
  const oldest = known.toSorted((a, b) => a.at.getTime() - b.at.getTime())[0];
  return { lookedAt: oldest?.at, notChecked };
}

interface ScanScope {
  readonly tenantId: string;
  readonly productId?: string | undefined;
}

function listSkipped(fleet: Fleet, { tenantId, productId }: ScanScope): NotChecked[] {
  return productsOf(fleet, tenantId).flatMap((product) => {
    const why = skipReason(product);
    const isMeant = productId === undefined || productId === product.id;
    return why !== undefined && isMeant ? [{ what: productSubject(product.id), why }] : [];
  });
}

function scanSubjects(fleet: Fleet, kind: ScanKind, { tenantId, productId }: ScanScope): string[] {
  const scanned = scannableProducts(fleet, tenantId).filter(({ id }) => productId === undefined || productId === id);
  const products = scanned.map(({ id }) => productSubject(id));
  if (productId !== undefined) return products;
  return kind === "drift" && tenantId === SYSTEM_TENANT ? [FLEET_SUBJECT, ...products] : products;
}

export function productSubject(productId: string): string {
  return `product:${productId}`;
}
