/** GET /audit/verify and /invariants, POST /audit/checkpoint: self-checks of the fleet. */
import { z } from "zod";
import { verifyAudit } from "../../conductor/audit/verify.ts";
import { requestCheckpoint } from "../../conductor/audit/checkpoints.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { checkInvariants } from "../../conductor/watch/invariants.ts";
import { getTaskNamed } from "../../conductor/tasks/find.ts";
import { readChecks, type CheckStatus } from "../../conductor/watch/checks.ts";
import { readAlerts, type FleetAlert } from "../../conductor/watch/health.ts";
import { AuditProof, CheckpointView, InvariantsView } from "../../views/integrity.ts";
import { defineRoute } from "../route.ts";
import { visibleTo } from "../../conductor/scope.ts";

export const auditRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/audit/verify",
    tier: "observer",
    summary: "Verify the audit chains that you may see",
    query: z.strictObject({ task: z.string().min(2).max(64).optional() }),
    reply: AuditProof,
    errors: ["task-not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, query }) => {
    const taskId = query.task ? (await getTaskNamed(fleet, operator, query.task)).id : undefined;
    const proof = await verifyAudit(fleet, visibleTo(operator, { all: true }), taskId);
    const { checkpoint } = proof;
    return {
      body: {
        ...proof,
        broken: [...proof.broken],
        checkpoint: checkpoint ? { ...checkpoint, broken: [...checkpoint.broken] } : null,
      },
    };
  },
);

export const checkpointRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/audit/checkpoint",
    tier: "sovereign",
    role: "admin",
    summary: "Sign the current heads of all audit chains; this also happens every hour by itself",
    reply: CheckpointView,
    statuses: { 201: "signed" },
  },
  async (fleet: Fleet, { operator }) => ({ status: 201, body: await requestCheckpoint(fleet, operator) }),
);

type InvariantsReport = z.output<typeof InvariantsView>;

function viewCheck(
  { name, periodMs, lastGoodAt, tookMs, isOverdue, result }: CheckStatus,
  { showDetails }: { showDetails: boolean },
) {
  const at = lastGoodAt?.toISOString() ?? null;
  const view: InvariantsReport["checks"][number] = {
    name,
    everyMs: periodMs,
    lastGoodAt: at,
    tookMs,
    runs: !isOverdue,
    result: {},
  };
  return showDetails ? { ...view, result } : view;
}

function viewAlert({ kind, key, summary, raisedAt, episode }: FleetAlert): InvariantsReport["alerts"][number] {
  return { kind, key, summary, since: raisedAt.toISOString(), episode };
}

export const invariantsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/invariants",
    tier: "observer",
    summary: "Check the invariants of the whole fleet",
    reply: InvariantsView,
    etagOf: ({ at: _at, checks, ...verdicts }) => ({
      ...verdicts,
      checks: checks.map(({ name, runs }) => ({ name, runs })),
    }),
  },
  async (fleet: Fleet, { operator }) => {
    const verdicts = await checkInvariants(fleet);
    // Every operator may know whether the invariants hold; the violations name tasks of other tenants.
    const showDetails = operator.role === "admin";
    const invariants = verdicts.map(({ violations, ...verdict }) => ({
      ...verdict,
      violations:
        showDetails || violations.length === 0 ? [...violations] : [`${violations.length}; role admin sees which`],
    }));
    const checks = (await readChecks(fleet)).map((check) => viewCheck(check, { showDetails }));
    const alerts = showDetails ? (await readAlerts(fleet)).map((alert) => viewAlert(alert)) : [];
    const ok = verdicts.every(({ holds }) => holds !== false) && checks.every(({ runs }) => runs);
    return { body: { ok, at: fleet.clock().toISOString(), invariants, checks, alerts } };
  },
);
