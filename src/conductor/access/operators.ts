/** Operators: who is known to the house, with which tier and role at most, and who is let in no longer. */
import { FleetError } from "../../domain/errors.ts";
import { roleReaches, tierReaches, type Operator, type Role, type Tier } from "../../domain/operator.ts";
import { auditOperator, findStanding, listOperators, lockStanding, putStanding } from "../../store/operators.ts";
import type { OperatorRow } from "../../store/operators.ts";
import { WORKER } from "../../store/store.ts";
import type { Fleet } from "../fleet.ts";
import { refuseMoreThan } from "./tokens.ts";

/** In the order of their names, those behind `after`. */
export async function operatorsFor(
  fleet: Fleet,
  by: Operator,
  page: { readonly after: string; readonly limit: number },
): Promise<OperatorRow[]> {
  assertAdmin(by);
  return fleet.store.transaction(WORKER, (tx) => listOperators(tx, page.after, page.limit));
}

export interface OperatorAsk {
  /** Needed for a new one; one that is known stays where it is. */
  readonly tenant?: string | undefined;
  readonly tier?: Tier | undefined;
  readonly role?: Role | null | undefined;
}

/**
 * The most that their tokens may claim, from the next request on. Nobody raises anybody above themselves, nor themselves.
 * Throws "tier-too-low", "invalid-input".
 */
export async function setOperator(fleet: Fleet, by: Operator, id: string, ask: OperatorAsk): Promise<OperatorRow> {
  return change(fleet, by, id, (known) => {
    if (!known) return newOperator(by, id, ask);
    if (ask.tenant !== undefined && ask.tenant !== known.tenantId) {
      throw new FleetError("invalid-input", `Operator ${id} is of tenant ${known.tenantId}, and stays there.`);
    }
    const tier = ask.tier ?? known.tier;
    const role = ask.role === undefined ? known.role : ask.role;
    const isRaised = !tierReaches(known.tier, tier) || !roleReaches(known.role, role);
    if (isRaised) refuseMoreThan(by, { tier, role });
    return { ...known, tier, role };
  });
}

function newOperator(by: Operator, id: string, { tenant, tier, role = null }: OperatorAsk) {
  if (tenant === undefined || tier === undefined) {
    throw new FleetError("invalid-input", `Operator ${id} is new: say of which tenant, and with which tier.`);
  }
  refuseMoreThan(by, { tier, role });
  return { id, tenantId: tenant, tier, role, disabledAt: null };
}

/** Whatever token they bring is refused; what they asked for goes on. Throws "not-found", "invalid-input" for oneself. */
export async function disableOperator(fleet: Fleet, by: Operator, id: string): Promise<OperatorRow> {
  return change(fleet, by, id, (known) => {
    if (!known) throw noOperator(id);
    if (id === by.id) throw new FleetError("invalid-input", "Nobody disables themselves: another admin has to.");
    return { ...known, disabledAt: known.disabledAt ?? fleet.clock() };
  });
}

/** Tokens that have not ended meanwhile are believed again. Throws "not-found". */
export async function enableOperator(fleet: Fleet, by: Operator, id: string): Promise<OperatorRow> {
  return change(fleet, by, id, (known) => {
    if (!known) throw noOperator(id);
    return { ...known, disabledAt: null };
  });
}

async function change(
  fleet: Fleet,
  by: Operator,
  id: string,
  decide: (known: OperatorRow | undefined) => Omit<OperatorRow, "createdAt">,
): Promise<OperatorRow> {
  assertAdmin(by);
  return fleet.store.transaction(WORKER, async (tx) => {
    const known = await lockStanding(tx, id);
    const decided = decide(known);
    await putStanding(tx, decided);
    const detail = { operator: id, tenant: decided.tenantId, from: known ? shown(known) : null, to: shown(decided) };
    await auditOperator(tx, { operatorId: by.id, actor: by.id, action: "operator.set", detail });
    const stored = await findStanding(tx, id);
    if (!stored) throw noOperator(id);
    return stored;
  });
}

function shown({ tier, role, disabledAt }: Omit<OperatorRow, "createdAt">) {
  return { tier, role, isDisabled: disabledAt !== null };
}

function noOperator(id: string): FleetError {
  return new FleetError("not-found", `There is no operator ${id}. See them: fleet operators`);
}

function assertAdmin(by: Operator): void {
  if (by.role !== "admin") throw new FleetError("tier-too-low", "Operators are for role admin.");
}
