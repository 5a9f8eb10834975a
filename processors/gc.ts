/** gc → pruneRows for the rows, or requestFullGc for the files, which each host removes by itself. */
import { gcQueue } from "../queues/gc.ts";
import { dropOldMonth, ensureAuditMonths } from "../src/conductor/audit/months.ts";
import { pruneRows } from "../src/conductor/gc/rows.ts";
import { requestFullGc } from "../src/conductor/gc/requests.ts";
import { defineProcessor } from "./define.ts";

export const gcProcessor = defineProcessor(gcQueue, async (fleet, { what }) => {
  if (what === "hosts") {
    await requestFullGc(fleet);
    return;
  }
  await ensureAuditMonths(fleet);
  await pruneRows(fleet);
  await dropOldMonth(fleet);
});
