/** /runs: what orders did, their evidence, and keeping one on purpose. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import {
  listRunsFor,
  pinRunNamed,
  readEvidence,
  getRunDetails,
  verifyEvidence,
} from "../../conductor/orders/find-runs.ts";
import { Intent } from "../../domain/orders/order.ts";
import { viewOrder } from "../../views/orders/order.ts";
import { PageQuery, pageOf, viewPage } from "../../views/page.ts";
import { EvidenceView, PinRequest, RunStory, RunView, viewEvidence, viewRun } from "../../views/orders/run.ts";
import { defineRoute } from "../route.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";

const RunParams = z.strictObject({
  run: z.string().min(2).max(64).meta({ description: "Id, prefix of an id, or short name" }),
});

const RunsQuery = PageQuery.extend({
  product: z.string().max(64).optional(),
  intent: Intent.optional(),
  status: RunView.shape.status.optional(),
  order: z.uuid().optional(),
  collected: z.stringbool().default(false).meta({ description: "Also those that gc has put aside" }),
});

export const runsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/runs",
    tier: "observer",
    summary: "Runs of work orders, newest first",
    query: RunsQuery,
    reply: pageOf(RunView),
  },
  async (fleet: Fleet, { operator, query }) => {
    const { runs, next } = await listRunsFor(fleet, operator, {
      productId: query.product,
      intent: query.intent,
      status: query.status,
      orderId: query.order,
      collected: query.collected,
      before: query.cursor === undefined ? undefined : decodeCursor(query.cursor),
      limit: query.limit,
    });
    const nextCursor = next ? encodeCursor(next) : null;
    return { body: viewPage({ items: runs, nextCursor }, viewRun) };
  },
);

export const runRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/runs/:run",
    tier: "observer",
    summary: "One run: its order, its evidence, all tries",
    params: RunParams,
    query: z.strictObject({
      verify: z.stringbool().default(false).meta({ description: "Hash the evidence again and compare" }),
    }),
    reply: RunStory,
    errors: ["not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, params, query }) => {
    const { run, order, artifacts, tries } = await getRunDetails(fleet, operator, params.run);
    const verified = query.verify ? await verifyEvidence(fleet, run) : null;
    return {
      body: {
        run: viewRun(run),
        order: viewOrder(order),
        summary: { ...run.summary },
        artifacts: [...artifacts],
        tries: tries.map(viewRun),
        verified: verified && { ...verified, broken: [...verified.broken] },
      },
    };
  },
);

export const evidenceRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/runs/:run/artifacts/:name",
    tier: "observer",
    summary: "One piece of a run's evidence; of a run that is not over, its output so far",
    params: RunParams.extend({ name: z.string().min(1).max(200) }),
    reply: EvidenceView,
    errors: ["not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, params }) => ({
    body: viewEvidence(await readEvidence(fleet, operator, params.run, params.name)),
  }),
);

export const pinRunRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/runs/:run/pin",
    tier: "builder",
    summary: "Keep a run: gc leaves it alone",
    params: RunParams,
    body: PinRequest,
    reply: RunView,
    errors: ["not-found", "ambiguous-name", "invalid-transition"],
  },
  async (fleet: Fleet, { operator, params, body }) => ({
    body: viewRun(await pinRunNamed(fleet, operator, params.run, { pinned: true, release: body.release })),
  }),
);

export const unpinRunRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/runs/:run/unpin",
    tier: "builder",
    summary: "Let gc have a run again",
    params: RunParams,
    reply: RunView,
    errors: ["not-found", "ambiguous-name", "invalid-transition"],
  },
  async (fleet: Fleet, { operator, params }) => ({
    body: viewRun(await pinRunNamed(fleet, operator, params.run, { pinned: false })),
  }),
);
