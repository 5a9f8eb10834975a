/** GET /audit/verify and /invariants: the checks of the house. */
import { z } from "zod";
import { verifyAudit } from "../../conductor/audit.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { checkInvariants } from "../../conductor/invariants.ts";
import { getTaskNamed, sightOf } from "../../conductor/tasks.ts";
import { AuditProof, InvariantsView } from "../../views/proof.ts";
import { defineRoute } from "../route.ts";

export const auditRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/audit/verify",
    tier: "observer",
    summary: "Recompute the audit chains within sight",
    query: z.strictObject({ task: z.string().min(2).max(64).optional() }),
    reply: AuditProof,
    errors: ["task-not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, query }) => {
    const taskId = query.task ? (await getTaskNamed(fleet, operator, query.task)).id : undefined;
    const proof = await verifyAudit(fleet, sightOf(operator, { all: true }), taskId);
    return { body: { ...proof, broken: [...proof.broken] } };
  },
);

export const invariantsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/invariants",
    tier: "observer",
    summary: "Check what must always be true, for the whole fleet",
    reply: InvariantsView,
  },
  async (fleet: Fleet, { operator }) => {
    const verdicts = await checkInvariants(fleet);
    // Whether the house stands is for everybody; what is broken names other people's tasks.
    const mayName = operator.role === "admin";
    const invariants = verdicts.map(({ violations, ...verdict }) => ({
      ...verdict,
      violations:
        mayName || violations.length === 0 ? [...violations] : [`${violations.length}; role admin sees which`],
    }));
    return {
      body: { ok: verdicts.every(({ holds }) => holds !== false), at: fleet.clock().toISOString(), invariants },
    };
  },
);
