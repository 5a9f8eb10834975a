/** /runs: runs of orders, their evidence, and pinning one so that gc does not collect it. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import {
  listRunsFor,
  setRunPin,
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
import { runArtifact, visibleRun } from "./params.ts";

const RunsQuery = PageQuery.extend({
  product: z.string().max(64).optional(),
  intent: Intent.optional(),
  status: RunView.shape.status.optional(),
  order: z.uuid().optional(),
  collected: z.stringbool().default(false).meta({ description: "Also runs that gc has quarantined" }),
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
    summary: "One run: its order, its evidence, and all tries of the order",
    params: visibleRun,
    query: z.strictObject({
      verify: z.stringbool().default(false).meta({ description: "Hash the evidence again and compare" }),
    }),
    reply: RunStory,
  },
  async (fleet: Fleet, { operator, params: { run }, query }) => {
    const { order, artifacts, tries } = await getRunDetails(fleet, operator, run);
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
    summary: "One piece of evidence of a run; while the run is in progress, its output so far",
    params: runArtifact,
    reply: EvidenceView,
  },
  async (fleet: Fleet, { operator, params: { run, name } }) => ({
    body: viewEvidence(await readEvidence(fleet, operator, run, name)),
  }),
);

export const pinRunRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/runs/:run/pin",
    tier: "builder",
    summary: "Pin a run: gc does not collect it",
    params: visibleRun,
    body: PinRequest,
    reply: RunView,
    errors: ["invalid-transition"],
  },
  async (fleet: Fleet, { operator, params: { run }, body }) => ({
    body: viewRun(await setRunPin(fleet, operator, run, { pinned: true, release: body.release })),
  }),
);

export const unpinRunRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/runs/:run/unpin",
    tier: "builder",
    summary: "Unpin a run: gc may collect it again",
    params: visibleRun,
    reply: RunView,
    errors: ["invalid-transition"],
  },
  async (fleet: Fleet, { operator, params: { run } }) => ({
    body: viewRun(await setRunPin(fleet, operator, run, { pinned: false })),
  }),
);
