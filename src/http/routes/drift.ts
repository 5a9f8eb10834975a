/** /drift: what differs from what is declared, requesting a scan, and accepting a difference. */
import { z } from "zod";
import { acceptDrift, readDriftReport } from "../../conductor/drift/report.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { requestScan } from "../../conductor/drift/rounds.ts";
import { DriftFinding, DriftReportDocument, toDriftFinding } from "../../domain/drift/report.ts";
import { Acceptance, DriftQuery, LookAsked, ScanRequest } from "../../views/drift.ts";
import { defineRoute } from "../route.ts";

export const driftRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/drift",
    tier: "observer",
    summary: "What differs from what is declared, recorded or accepted; and what could not be scanned",
    query: DriftQuery,
    reply: DriftReportDocument,
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, query }) => ({
    body: await readDriftReport(fleet, operator, { productId: query.product, all: query.all }),
  }),
);

export const checkDriftRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/drift/check",
    tier: "builder",
    summary: "Request a scan (read-only)",
    body: ScanRequest,
    reply: LookAsked,
    statuses: { 202: "a worker will scan" },
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, body }) => {
    const { lookId, askedAt } = await requestScan(fleet, operator, "requested", body.product);
    return { status: 202, body: { look_id: lookId, asked_at: askedAt.toISOString() } };
  },
);

export const acceptDriftRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/drift/:finding/accept",
    tier: "builder",
    summary: "Accept the current value as the new baseline; operator and reason are audited",
    params: z.strictObject({
      finding: z.string().min(4).max(64).meta({ description: "Id, or its last 8 characters" }),
    }),
    body: Acceptance,
    reply: DriftFinding,
    errors: ["not-found", "ambiguous-name", "invalid-transition"],
  },
  async (fleet: Fleet, { operator, params, body }) => ({
    body: toDriftFinding(await acceptDrift(fleet, operator, params.finding, body.reason)),
  }),
);
