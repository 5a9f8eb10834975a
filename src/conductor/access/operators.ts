/** Operators: listing them, setting the highest tier and role they may use, and disabling them. */
import { FleetError } from "../../domain/errors.ts";
import {
  isRoleAtLeast,
  isTierAtLeast,
  type Operator,
  type Role,
  type Tier,
  type OperatorRow,
} from "../../domain/operator.ts";
import { findOperatorRow, listOperators, lockOperator, upsertOperatorRow, auditBy } from "../../store/operators.ts";
import type { Fleet } from "../fleet.ts";
import { assertMayGrant } from "./tokens.ts";

/** Sorted by id; the page starts after the id `after`. */
export async function listOperatorsFor(
  fleet: Fleet,
  page: { readonly after: string; readonly limit: number },
): Promise<OperatorRow[]> {
  return fleet.store.asSystem((tx) => listOperators(tx, page.after, page.limit));
}

export interface SetOperatorRequest {
  /** Required for a new operator; it cannot be changed later. */
  readonly tenant?: string | undefined;
  readonly tier?: Tier | undefined;
  readonly role?: Role | null | undefined;
}

/**
 * Sets the most that tokens of this operator may claim, from the next request on. Admins cannot grant more than they have.
 * Throws "tier-too-low", "invalid-input".
 */
export async function setOperator(
  fleet: Fleet,
  by: Operator,
  id: string,
  request: SetOperatorRequest,
): Promise<OperatorRow> {
  return changeOperator(fleet, by, id, (known) => {
    if (!known) return newOperator(by, id, request);
    if (request.tenant !== undefined && request.tenant !== known.tenantId) {
      throw new FleetError("invalid-input", `Operator ${id} belongs to tenant ${known.tenantId}, which cannot change.`);
    }
    const tier = request.tier ?? known.tier;
    const role = request.role === undefined ? known.role : request.role;
    const isRaised = !isTierAtLeast(known.tier, tier) || !isRoleAtLeast(known.role, role);
    if (isRaised) assertMayGrant(by, { tier, role });
    return { ...known, tier, role };
  });
}

function newOperator(by: Operator, id: string, { tenant, tier, role = null }: SetOperatorRequest) {
  if (tenant === undefined || tier === undefined) {
    throw new FleetError("invalid-input", `Operator ${id} is new: give a tenant and a tier.`);
  }
  assertMayGrant(by, { tier, role });
  return { id, tenantId: tenant, tier, role, disabledAt: null };
}

/** Refuses all their tokens from now on; their tasks continue. Throws "not-found", and "invalid-input" for oneself. */
export async function disableOperator(fleet: Fleet, by: Operator, id: string): Promise<OperatorRow> {
  return changeOperator(fleet, by, id, (known) => {
    if (!known) throw operatorNotFound(id);
    if (id === by.id) throw new FleetError("invalid-input", "You cannot disable yourself; ask another admin.");
    return { ...known, disabledAt: known.disabledAt ?? fleet.clock() };
  });
}

/** Their tokens that have not expired are accepted again. Throws "not-found". */
export async function enableOperator(fleet: Fleet, by: Operator, id: string): Promise<OperatorRow> {
  return changeOperator(fleet, by, id, (known) => {
    if (!known) throw operatorNotFound(id);
    return { ...known, disabledAt: null };
  });
}

async function changeOperator(
  fleet: Fleet,
  by: Operator,
  id: string,
  decide: (known: OperatorRow | undefined) => Omit<OperatorRow, "createdAt">,
): Promise<OperatorRow> {
  return fleet.store.asSystem(async (tx) => {
    const known = await lockOperator(tx, id);
    const decided = decide(known);
    await upsertOperatorRow(tx, decided);
    const detail = {
      operator: id,
      tenant: decided.tenantId,
      from: known ? toAuditDetail(known) : null,
      to: toAuditDetail(decided),
    };
    await auditBy(tx, by, "operator.set", detail);
    const stored = await findOperatorRow(tx, id);
    if (!stored) throw operatorNotFound(id);
    return stored;
  });
}

function toAuditDetail({ tier, role, disabledAt }: Omit<OperatorRow, "createdAt">) {
  return { tier, role, isDisabled: disabledAt !== null };
}

function operatorNotFound(id: string): FleetError {
  return new FleetError("not-found", `There is no operator ${id}. See them: fleet operators`);
}
