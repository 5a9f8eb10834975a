/** Scanning many products one after another, each at the head of its base branch, in rounds short enough to hold a lock. */
import type { DriftJob } from "../../../queues/drift.ts";
import { driftQueue } from "../../../queues/drift.ts";
import type { NotChecked } from "../../domain/drift/drift.ts";
import type { Operator } from "../../domain/operator.ts";
import { PLANNABLE_STATUSES, type Product } from "../../domain/product.ts";
import { listScans, type ScanKind } from "../../store/drift.ts";
import { auditBy } from "../../store/operators.ts";
import { createHint, insertHints } from "../../store/outbox.ts";
import type { CommitRef } from "../../survey/repository.ts";
import type { Fleet } from "../fleet.ts";
import { getProduct, productsOf } from "../products/find.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import { messageOf } from "../../domain/errors.ts";

/** The subject under which a scan of the fleet itself is stored. */
export const FLEET_SUBJECT = "fleet";

export interface ProductScan<Seen> {
  readonly product: Product;
  readonly commitSha: string | null;
  /** Undefined when it could not be scanned; `why` is the reason. */
  readonly seen: Seen | undefined;
  readonly why?: string;
}

export type ProductScanner<Seen> = (product: Product, commit: CommitRef) => Promise<Seen>;

/** The lock of a round must not be held for longer than a minute, whatever the number of products. */
const ROUND_MS = 30_000;

/**
 * Runs rounds until all products are scanned. With a lock, nothing is done while another worker scans. Without one, because
 * somebody waits for this very scan, a product may be scanned twice, which stores the same result.
 * A round that outlives its lock (the first fetch of a large repository) has stored its result, and the next one continues.
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
      fleet.log.warn({ event: "scan.slow", lock, error: String(error) }, "scan round outlived its lock");
    }
    left = rest ?? [];
    isFirst = false;
  } while (left.length > 0);
}

/** Scans as many as fit into a round; `rest` is left for the next one. */
export async function scanRound<Seen>(
  fleet: Fleet,
  products: readonly Product[],
  scan: ProductScanner<Seen>,
  signal?: AbortSignal,
): Promise<{ scans: ProductScan<Seen>[]; rest: readonly Product[] }> {
  const until = performance.now() + ROUND_MS;
  const scans: ProductScan<Seen>[] = [];
  for (const [index, product] of products.entries()) {
    if (signal?.aborted) break;
    if (performance.now() > until) return { scans, rest: products.slice(index) };
    scans.push(await scanProduct(fleet, product, scan));
  }
  return { scans, rest: [] };
}

/** Never throws: a product that cannot be read must not block the others. */
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

/** The tenant's products that are enabled and in a status that is planned. */
export function scannableProducts(fleet: Fleet, tenantId: string): Product[] {
  return productsOf(fleet, tenantId).filter((product) => skipReason(product) === undefined);
}

function skipReason({ enabled, status }: Product): string | undefined {
  if (!enabled) return "the product is not enabled";
  return PLANNABLE_STATUSES.includes(status) ? undefined : `the product's status is ${status}`;
}

export function listTenants({ settings }: Fleet): string[] {
  return [...new Set([SYSTEM_TENANT, ...settings.products.map(({ tenant }) => tenant)])].toSorted();
}

/** Requests a scan through the queue, because only workers have the repositories. */
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
  /** Everything in scope was scanned at this time or later; undefined when something was never scanned. */
  readonly lookedAt: Date | undefined;
  readonly notChecked: readonly NotChecked[];
}

/** When a tenant's products, or one of them, were last scanned; the system tenant's scans include the fleet itself. */
export async function readScanStatus(
  fleet: Fleet,
  kind: ScanKind,
  { tenantId, productId }: ScanScope,
): Promise<ScanStatus> {
  const scans = await fleet.store.asSystem((tx) => listScans(tx, kind, tenantId));
  const bySubject = new Map(scans.map((scan) => [scan.subject, scan]));
  const subjects = scanSubjects(fleet, kind, { tenantId, productId });
  const skipped = listSkipped(fleet, { tenantId, productId });
  if (subjects.length === 0) return { lookedAt: fleet.clock(), notChecked: skipped };
  const found = subjects.flatMap((subject) => bySubject.get(subject) ?? []);
  const notChecked = [...found.flatMap((scan) => scan.notChecked), ...skipped];
  if (found.length < subjects.length) return { lookedAt: undefined, notChecked };
  return { lookedAt: new Date(Math.min(...found.map(({ at }) => at.getTime()))), notChecked };
}

interface ScanScope {
  readonly tenantId: string;
  readonly productId?: string | undefined;
}

function listSkipped(fleet: Fleet, { tenantId, productId }: ScanScope): NotChecked[] {
  return productsOf(fleet, tenantId).flatMap((product) => {
    const why = skipReason(product);
    const isInScope = productId === undefined || productId === product.id;
    return why !== undefined && isInScope ? [{ what: productSubject(product.id), why }] : [];
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
