/** The intent gc_runs: collects the runs of one product on this host that are past retention, and stores the report as evidence. */
import { setTimeout as pause } from "node:timers/promises";
import type { HostGcReport } from "../../../domain/gc/report.ts";
import { collectGarbage } from "../../gc/collect.ts";
import type { ExecuteIntent, IntentContext } from "./intent.ts";

const RETRY_MS = 500;
const MAX_TRIES = 20;

export const collectRuns: ExecuteIntent = async (context) => {
  const report = await collectWithRetry(context);
  if (!report) {
    const message = "another process of this host kept the gc lock";
    return { ok: false, exitCode: null, failure: "busy", message };
  }
  await context.evidence.write("gc.json", `${JSON.stringify(report, undefined, 2)}\n`, "application/json");
  const failed = report.gone.filter(({ outcome }) => outcome === "failed");
  const quarantined = report.gone.length - failed.length;
  const bytes = [...report.gone, ...report.swept].reduce((sum, one) => sum + one.bytes, 0);
  const failures = failed.length > 0 ? `, ${failed.length} failed` : "";
  const message = `${quarantined} runs quarantined, ${report.swept.length} deleted${failures}`;
  const summary = { putAside: quarantined, deleted: report.swept.length, failed: failed.length, bytes };
  if (failed.length > 0) return { ok: false, exitCode: 1, failure: "refused", message, summary };
  return { ok: true, exitCode: 0, message, summary };
};

/** The host's own gc holds the lock for a few seconds at most. */
async function collectWithRetry({ fleet, product, signal }: IntentContext): Promise<HostGcReport | undefined> {
  const request = { dryRun: false, tenantId: product.tenant, productId: product.id, machine: false };
  for (let tries = 1; tries <= MAX_TRIES && !signal.aborted; tries += 1) {
    const report = await collectGarbage(fleet, request);
    if (report) return report;
    await pause(RETRY_MS);
  }
  return undefined;
}
