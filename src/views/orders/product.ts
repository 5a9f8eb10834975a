/** A product as the API returns it: as fleet.yaml declares it, its last runs, and whether it is stopped. */
import { z } from "zod";
import { EstopMode, EstopScope, type ProductStop } from "../../domain/task/kill-switch.ts";
import { Intent } from "../../domain/orders/order.ts";
import { Criticality, PLANNABLE_STATUSES, ProductStatus, type Product } from "../../domain/product.ts";
import { redactUrl } from "../../domain/text/redact-url.ts";
import { toIsoOrNull } from "../fields.ts";

const Moment = z.iso.datetime();

const LastRun = z.object({
  intent: Intent,
  runId: z.string(),
  status: z.enum(["success", "failed"]),
  failure: z.string().nullable(),
  endedAt: Moment,
});

export const ProductView = z
  .object({
    id: z.string(),
    name: z.string(),
    tenantId: z.string(),
    repository: z.string(),
    baseBranch: z.string(),
    owner: z.string().nullable(),
    status: ProductStatus,
    criticality: Criticality,
    slaTier: z.int(),
    enabled: z.boolean(),
    commands: z.array(z.enum(["setup", "validate", "test"])).meta({ description: "The commands that are declared" }),
    planned: z.boolean().meta({ description: "Whether plans and schedules include it" }),
    stopped: z
      .object({
        by: z.enum(["fleet.yaml", "operator"]),
        reason: z.string(),
        who: z.string().nullable(),
        at: Moment.nullable(),
        scope: EstopScope.meta({ description: "What was stopped: the product, its tenant or the fleet" }),
        mode: EstopMode,
      })
      .nullable()
      .meta({ description: "Its kill switch: nothing is planned or run" }),
    lastRuns: z.array(LastRun).meta({ description: "The latest of each intent" }),
    next: Moment.nullable().meta({ description: "The next run of its schedule" }),
  })
  .meta({ id: "Product" });
export type ProductView = z.infer<typeof ProductView>;

export const ProductsView = z.object({ products: z.array(ProductView) }).meta({ id: "Products" });

export const KillReason = z.strictObject({ reason: z.string().trim().min(1).max(500) });

/** The rows that are shown as one product. */
export interface ShownProduct {
  readonly product: Product;
  readonly stop: ProductStop | undefined;
  readonly runs: readonly {
    readonly id: string;
    readonly intent: Intent;
    readonly status: string;
    readonly failure: string | null;
    readonly endedAt: Date | null;
  }[];
  readonly next: Date | undefined;
}

export function viewProduct({ product, stop, runs, next }: ShownProduct): ProductView {
  const { setup, validate, test } = product.commands;
  const declared = Object.entries({ setup, validate, test }).filter(([, argv]) => argv !== undefined);
  return {
    id: product.id,
    name: product.name ?? product.id,
    tenantId: product.tenant,
    repository: redactUrl(product.repository),
    baseBranch: product.baseBranch,
    owner: product.owner ?? null,
    status: product.status,
    criticality: product.criticality,
    slaTier: product.slaTier,
    enabled: product.enabled,
    commands: declared.map(([name]) => CommandName.parse(name)),
    planned: stop === undefined && product.enabled && PLANNABLE_STATUSES.includes(product.status),
    stopped: stop ? { ...stop, at: toIsoOrNull(stop.at) } : null,
    lastRuns: runs.flatMap((run) => viewRun(run)),
    next: toIsoOrNull(next),
  };
}

const CommandName = z.enum(["setup", "validate", "test"]);

function viewRun({ id, intent, status, failure, endedAt }: ShownProduct["runs"][number]): z.infer<typeof LastRun>[] {
  if (endedAt === null || (status !== "success" && status !== "failed")) return [];
  return [{ intent, runId: id, status, failure, endedAt: endedAt.toISOString() }];
}
