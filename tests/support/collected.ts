/** A fleet with runs, as orders leave them, for tests of gc. */
import { mkdir, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { v7 as newId } from "uuid";
import { collectGarbage } from "../../src/conductor/gc/collect.ts";
import type { HostGcReport } from "../../src/domain/gc/report.ts";
import type { HostGcRequest } from "../../src/store/gc.ts";
import type { TestFleet } from "./fleet.ts";

export const EVERYTHING: HostGcRequest = { dryRun: false, tenantId: null, productId: null, machine: true };
const HOUR_MS = 3_600_000;

export interface RunInput {
  readonly id?: string;
  readonly productId?: string;
  readonly intent?: string;
  readonly status?: "in_progress" | "success" | "failed";
  /** How long ago it began. */
  readonly hours: number;
  readonly pinned?: boolean;
  readonly release?: string;
  readonly host?: string;
}

/** Creates its row, its order's row, an artifact, and its folder; returns its id. */
export async function aRun(fleet: TestFleet, run: RunInput): Promise<string> {
  const {
    productId = "shop",
    intent = "validate",
    status = "failed",
    hours,
    pinned = false,
    release,
    host = "here",
  } = run;
  const id = run.id ?? newId();
  const startedAt = new Date(fleet.fleet.clock().getTime() - hours * HOUR_MS);
  const orderId = newId();
  const owner = ["local", "factory.local"];
  await fleet.query(
    `insert into work_orders (id, tenant_id, operator_id, product_id, intent, budget, source, status, completed_at)
     values ($1, $2, $3, $4, $5, '{"max_actions": 1}', 'plan', 'completed', $6)`,
    [orderId, ...owner, productId, intent, startedAt],
  );
  await fleet.query(
    `insert into runs (id, tenant_id, operator_id, order_id, product_id, intent, status, host, started_at, ended_at, pinned, release)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      id,
      ...owner,
      orderId,
      productId,
      intent,
      status,
      host,
      startedAt,
      status === "in_progress" ? null : startedAt,
      pinned,
      release ?? null,
    ],
  );
  await fleet.query(
    `insert into artifacts (id, tenant_id, operator_id, run_id, name, media_type, size_bytes, sha256, bytes)
     values ($1, $2, $3, $4, 'output.log', 'text/plain', 3, 'x', 'x')`,
    [newId(), ...owner, id],
  );
  const folder = join(fleet.home, "runs", productId, id);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "output.log"), "log\n");
  return id;
}

export async function runFolder(fleet: TestFleet, id: string, productId = "shop"): Promise<string> {
  return join(await realpath(fleet.home), "runs", productId, id);
}

export async function collect(fleet: TestFleet, request: Partial<HostGcRequest> = {}): Promise<HostGcReport> {
  const report = await collectGarbage(fleet.fleet, { ...EVERYTHING, ...request });
  if (!report) throw new Error("Another process is at it.");
  return report;
}

/** The content of a report, without what a dry run cannot know. */
export function reportSubjects({ gone }: HostGcReport) {
  return gone.map(({ kind, subject, path, reason, bytes, product }) => ({
    kind,
    subject,
    path,
    reason,
    bytes,
    product,
  }));
}
