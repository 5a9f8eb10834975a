/** The intent drift_check: scans one product now and stores the report as evidence. Findings do not make the run fail. */
import { scanProductDrift } from "../../drift/scan.ts";
import { readProductReport } from "../../drift/report.ts";
import type { ExecuteIntent } from "./intent.ts";

export const checkDrift: ExecuteIntent = async ({ fleet, product, evidence }) => {
  const scan = await scanProductDrift(fleet, product);
  const { headSha } = scan;
  const report = await readProductReport(fleet, product, scan);
  await evidence.write("drift.json", `${JSON.stringify(report, undefined, 2)}\n`, "application/json");
  const unread = scan.report.subjects.length === 0;
  if (unread) {
    const why = scan.report.notChecked[0]?.why ?? "it cannot be read";
    return {
      ok: false,
      exitCode: null,
      failure: "unreadable",
      message: `product ${product.id} was not scanned: ${why}`,
    };
  }
  const { open } = report.counts;
  return {
    ok: true,
    exitCode: 0,
    message: open === 0 ? "no drift" : `${open} ${open === 1 ? "finding" : "findings"}, ${scan.newFindings.length} new`,
    ...(open > 0 ? { fired: ["on_drift_detected"] } : {}),
    summary: { open, fresh: scan.newFindings.length, high: report.counts.high },
    ...(headSha === null ? {} : { headSha }),
  };
};
