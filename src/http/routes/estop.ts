/** /estop: the kill switch. */
import { listEstops, releaseEstop, engageEstop } from "../../conductor/attempts/estop.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { EstopRelease, EstopRequest, EstopsView, viewEstops } from "../../views/estop.ts";
import { defineRoute } from "../route.ts";

export const estopsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/estop",
    tier: "observer",
    summary: "The engaged kill switches: those that affect your tenant, or all for role admin",
    reply: EstopsView,
  },
  async (fleet: Fleet, { operator }) => ({ body: { stops: viewEstops(await listEstops(fleet, operator)) } }),
);

export const throwEstopRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/estop",
    tier: "builder",
    summary: "Stop a task, a product, a tenant or the fleet until it is released",
    description: "Stopping a tenant needs tier sovereign or role admin; stopping the fleet needs role admin.",
    body: EstopRequest,
    reply: EstopsView,
    errors: ["task-not-found", "not-owner", "not-found", "invalid-transition", "tier-too-low"],
  },
  async (fleet: Fleet, { operator, body }) => ({
    body: { stops: viewEstops(await engageEstop(fleet, operator, body)) },
  }),
);

export const releaseEstopRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/estop/release",
    tier: "builder",
    summary: "Release one kill switch; other kill switches stay engaged",
    body: EstopRelease,
    reply: EstopsView,
    errors: ["task-not-found", "not-owner", "not-found", "invalid-transition", "tier-too-low"],
  },
  async (fleet: Fleet, { operator, body }) => ({
    body: { stops: viewEstops(await releaseEstop(fleet, operator, body)) },
  }),
);
