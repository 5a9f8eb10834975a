/** POST /gc: collects what is past retention, or lists it in a dry run. */
import { runGc } from "../../conductor/gc/requests.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { GcRequest, GcView } from "../../views/gc.ts";
import { defineRoute } from "../route.ts";

export const gcRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/gc",
    tier: "builder",
    summary: "Quarantine what is past retention on every host, or report what would be",
    description:
      "It collects runs of the operator's products; for role admin also what belongs to the hosts: working copies of " +
      "tasks that are over, branches, mirrors, snapshots, sockets.",
    body: GcRequest,
    reply: GcView,
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, body, signal }) => {
    const { dryRun, reports, waiting } = await runGc(fleet, operator, body, signal);
    const { graceMinutes } = fleet.settings.gc;
    return { body: { dryRun, graceMinutes, hosts: [...reports], waiting: [...waiting] } };
  },
);
