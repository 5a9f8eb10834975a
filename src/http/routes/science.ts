/** /science: the research dossiers of all products, and the status of each. */
import type { Fleet } from "../../conductor/fleet.ts";
import { requestScan } from "../../conductor/drift/rounds.ts";
import { readScienceIndex } from "../../conductor/drift/science.ts";
import { ScienceIndex } from "../../domain/science/science-index.ts";
import { LookAsked, ScanRequest, ScienceQuery } from "../../views/drift.ts";
import { defineRoute } from "../route.ts";

export const scienceRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/science",
    tier: "observer",
    summary: "The research dossiers: status, since when, the design made from each, and which are stuck or unreadable",
    query: ScienceQuery,
    reply: ScienceIndex,
    etagOf: ({ generated_at: _at, ...index }) => index,
  },
  async (fleet: Fleet, { operator, query }) => {
    const index = await readScienceIndex(fleet, operator);
    const dossiers = index.dossiers.filter(({ status }) => query.status === undefined || status === query.status);
    return { body: { ...index, dossiers } };
  },
);

export const refreshScienceRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/science/refresh",
    tier: "builder",
    summary: "Request that the dossiers are read again, also where there is no new commit",
    body: ScanRequest,
    reply: LookAsked,
    statuses: { 202: "a worker will read them" },
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, body }) => {
    const { lookId, askedAt } = await requestScan(fleet, operator, "requested-science", body.product);
    return { status: 202, body: { look_id: lookId, asked_at: askedAt.toISOString() } };
  },
);
