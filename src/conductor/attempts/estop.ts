/** fleet estop: engaging a kill switch, releasing it, and listing those that are engaged. Each act is audited. */
import { FleetError } from "../../domain/errors.ts";
import {
  FLEET_WIDE,
  type EstopMode,
  type EstopScope,
  type EstopSwitch,
  type EstopTarget,
} from "../../domain/task/kill-switch.ts";
import { assertAdmin, isTierAtLeast, type Operator } from "../../domain/operator.ts";
import { isTerminal, shortId, type Task } from "../../domain/task/task.ts";
import { deleteKillSwitch, upsertKillSwitch } from "../../store/kill-switches.ts";
import { auditBy } from "../../store/operators.ts";
import type { Fleet } from "../fleet.ts";
import { getProduct } from "../products/find.ts";
import { killSwitchOnTask, currentKillSwitches } from "../products/kill-switches.ts";
import { getOwnTask } from "../tasks/find.ts";

/** Names a task, a product or a tenant; the fleet needs no subject. */
export interface EstopRequest {
  readonly scope: EstopScope;
  readonly subject?: string | undefined;
}

/** The switches that may apply to the operator's tenant; admins see all. Widest scope first. */
export async function listEstops(fleet: Fleet, by: Operator): Promise<EstopSwitch[]> {
  const switches = await currentKillSwitches(fleet, by.role === "admin" ? undefined : by.tenantId);
  return switches.toSorted((a, b) => SCOPE_RANK[b.scope] - SCOPE_RANK[a.scope] || (a.subject < b.subject ? -1 : 1));
}

/** The engaged switches, and for each of these tasks the one that applies to it. */
export async function findEstopHolds(
  fleet: Fleet,
  by: Operator,
  tasks: readonly Task[],
): Promise<{ readonly stops: readonly EstopSwitch[]; readonly holds: ReadonlyMap<string, EstopSwitch> }> {
  const stops = await listEstops(fleet, by);
  const holds = new Map<string, EstopSwitch>();
  for (const task of stops.length === 0 ? [] : tasks) {
    const hold = isTerminal(task.status) ? undefined : await killSwitchOnTask(fleet, stops, task);
    if (hold) holds.set(task.id, hold);
  }
  return { stops, holds };
}

const SCOPE_RANK: Readonly<Record<EstopScope, number>> = { agent: 0, product: 1, tenant: 2, fleet: 3 };

/** Applies in every process from the commit on: claims read the switches, and hosts check them every second. */
export async function engageEstop(
  fleet: Fleet,
  by: Operator,
  request: EstopRequest & { readonly mode: EstopMode; readonly reason: string },
): Promise<EstopSwitch[]> {
  const target = await resolveTarget(fleet, by, request);
  const { mode, reason } = request;
  await fleet.store.asSystem(async (tx) => {
    await upsertKillSwitch(tx, { ...target, mode, reason, endsOrders: false, operatorId: by.id });
    await auditBy(tx, by, `estop.${mode}`, { ...target, reason });
  });
  fleet.log.warn({ event: "estop.thrown", ...target, mode, by: by.id }, reason);
  return listEstops(fleet, by);
}

/** Releases this switch only; others still apply. Throws "not-found" when it is not engaged, since that may be a mistake. */
export async function releaseEstop(
  fleet: Fleet,
  by: Operator,
  request: EstopRequest & { readonly reason?: string | undefined },
): Promise<EstopSwitch[]> {
  const target = await resolveTarget(fleet, by, request);
  const released = await fleet.store.asSystem(async (tx) => {
    const found = await deleteKillSwitch(tx, target);
    if (!found) return undefined;
    const { mode, reason: was, operatorId: thrownBy } = found;
    const detail = { ...target, mode, was, thrownBy, ...(request.reason ? { reason: request.reason } : {}) };
    await auditBy(tx, by, "estop.released", detail);
    return found;
  });
  if (!released) {
    throw new FleetError("not-found", "No kill switch is engaged there. See them: fleet estop", { ...target });
  }
  fleet.log.warn({ event: "estop.released", ...target, by: by.id }, "released");
  return listEstops(fleet, by);
}

/** Throws "not-found", "not-owner" or "tier-too-low": operators may release only what they may stop. */
async function resolveTarget(fleet: Fleet, by: Operator, { scope, subject }: EstopRequest): Promise<EstopTarget> {
  if (scope === "fleet") return fleetTarget(by);
  if (scope === "tenant") return tenantTarget(by, subject ?? by.tenantId);
  if (subject === undefined) {
    throw new FleetError("invalid-input", `Name the ${scope} to stop or release.`, { scope });
  }
  if (scope === "product") return { tenantId: by.tenantId, scope, subject: getProduct(fleet, by.tenantId, subject).id };
  const task = await getOwnTask(fleet, by, subject);
  if (task.completedAt) {
    throw new FleetError("invalid-transition", `Task ${shortId(task.id)} is ${task.status} and has no running agent.`);
  }
  return { tenantId: task.tenantId, scope, subject: task.id };
}

function fleetTarget(by: Operator): EstopTarget {
  assertAdmin(by, "Stopping the whole fleet");
  return { tenantId: FLEET_WIDE, scope: "fleet", subject: FLEET_WIDE };
}

function tenantTarget(by: Operator, tenantId: string): EstopTarget {
  const isOwn = tenantId === by.tenantId && isTierAtLeast(by.tier, "sovereign");
  if (by.role !== "admin" && !isOwn) {
    const sentence = "Stopping a tenant is for its operators of tier sovereign, and for role admin.";
    throw new FleetError("tier-too-low", sentence, { needed: "sovereign" });
  }
  return { tenantId, scope: "tenant", subject: tenantId };
}
