/** Access tokens: issuing, listing and revoking them; and browser sessions and login links, which the web process signs. */
import { FleetError } from "../../domain/errors.ts";
import {
  isRoleAtLeast,
  isTierAtLeast,
  type Operator,
  type Role,
  type OperatorRecord,
  type Tier,
} from "../../domain/operator.ts";
import { UUID } from "../../domain/text/uuid.ts";
import { auditOperator, lockOperator, upsertOperatorRow, auditBy } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import {
  insertRevocation,
  insertToken,
  listTokens,
  listTokensByName,
  markTokenRevoked,
  type TokenFilter,
  type TokenRow,
} from "../../store/tokens.ts";
import type { Fleet } from "../fleet.ts";
import { oneNamed } from "../name.ts";

export interface SignedToken {
  readonly token: string;
  readonly jti: string;
  readonly expiresAt: Date;
}

export interface IssueTokenRequest {
  readonly operator: string;
  readonly tenant: string;
  readonly tier: Tier;
  readonly role?: Role | undefined;
  readonly ttlMs: number;
  readonly name: string;
}

type Sign = (operator: Operator, ttlMs: number) => Promise<SignedToken>;

/**
 * Issues a token for an operator, and stores the operator if they are new. It grants no more than the issuer has and no more
 * than is stored for the operator: otherwise it throws "tier-too-low". Throws "invalid-input" for another tenant's operator.
 */
export async function issueTokenFor(
  fleet: Fleet,
  by: Operator,
  request: IssueTokenRequest,
  sign: Sign,
): Promise<SignedToken> {
  assertAdmin(by);
  assertMayGrant(by, request);
  const { operator: id, tenant: tenantId, tier, role, ttlMs, name } = request;
  const signed = await sign({ id, tenantId, tier, ...(role ? { role } : {}) }, ttlMs);
  await fleet.store.asSystem(async (tx) => {
    const record = await lockOperator(tx, id);
    if (record) assertWithin(record, request);
    else await upsertOperatorRow(tx, { id, tenantId, tier, role: role ?? null, disabledAt: null });
    const { jti, expiresAt } = signed;
    const claims = { tier, role: role ?? null, name };
    await insertToken(tx, {
      ...claims,
      jti,
      tenantId,
      operatorId: id,
      purpose: "access",
      issuedBy: by.id,
      expiresAt,
    });
    const detail = { jti, operator: id, tenant: tenantId, ...claims, until: expiresAt.toISOString(), isNew: !record };
    await auditBy(tx, by, "token.issued", detail);
  });
  return signed;
}

/** Admins cannot grant more than they have themselves. */
export function assertMayGrant(by: Operator, { tier, role }: { tier: Tier; role?: Role | null | undefined }): void {
  if (isTierAtLeast(by.tier, tier) && isRoleAtLeast(by.role, role)) return;
  throw new FleetError("tier-too-low", `You have tier ${by.tier} and cannot grant a higher tier or role.`, {
    needed: tier,
    tier: by.tier,
  });
}

function assertWithin(record: OperatorRecord, { operator, tenant, tier, role }: IssueTokenRequest): void {
  if (record.tenantId !== tenant) {
    throw new FleetError("invalid-input", `Operator ${operator} belongs to tenant ${record.tenantId}, not ${tenant}.`);
  }
  if (record.disabledAt) {
    throw new FleetError(
      "invalid-input",
      `Operator ${operator} is disabled. Enable them first: fleet operators enable ${operator}`,
    );
  }
  if (isTierAtLeast(record.tier, tier) && isRoleAtLeast(record.role, role)) return;
  const has = `tier ${record.tier} and ${record.role ? `role ${record.role}` : "no role"}`;
  throw new FleetError("tier-too-low", `Operator ${operator} has ${has}. Raise it first: fleet operators set`, {
    needed: tier,
    tier: record.tier,
  });
}

/** Newest first. Admins see the tokens of all operators, other operators their own. */
export async function listTokensFor(
  fleet: Fleet,
  by: Operator,
  filter: Omit<TokenFilter, "operatorId">,
): Promise<TokenRow[]> {
  const operatorId = by.role === "admin" ? undefined : by.id;
  return fleet.store.asSystem((tx) => listTokens(tx, { ...filter, operatorId }));
}

export interface TokenRef {
  /** Its id, the beginning of it, or its short name; for a token of another issuer, its whole id. */
  readonly jti: string;
  readonly issuer: string;
}

/** No token lives longer than a day; the minute more allows for clocks that differ. */
const MAX_TOKEN_MS = 24 * 3_600_000 + 60_000;

/**
 * Every web process refuses the token within seconds. Admins may revoke any token, also one that is not stored here: of
 * another issuer, or older than the table. Revoking it again changes nothing. Throws "not-found", "ambiguous-name".
 */
export async function revokeToken(fleet: Fleet, by: Operator, name: TokenRef, own: string): Promise<TokenRef> {
  return fleet.store.asSystem(async (tx) => {
    const row = name.issuer === own ? await findTokenByName(tx, by, name.jti) : undefined;
    if (!row) {
      assertAdmin(by);
      if (name.issuer === own && !UUID.test(name.jti)) throw tokenNotFound(name.jti);
    }
    const { jti, expiresAt } = row ?? { jti: name.jti, expiresAt: new Date(fleet.clock().getTime() + MAX_TOKEN_MS) };
    if (row) await markTokenRevoked(tx, jti, by.id);
    await recordRevocation(tx, by, { issuer: name.issuer, jti, expiresAt });
    return { jti, issuer: name.issuer };
  });
}

async function findTokenByName(tx: Tx, by: Operator, name: string): Promise<TokenRow | undefined> {
  const operatorId = by.role === "admin" ? undefined : by.id;
  const row = await oneNamed(name, {
    plural: "tokens",
    find: (digits, limit) => listTokensByName(tx, digits, { operatorId, limit }),
    describe: ({ jti }) => jti,
  });
  if (!row && by.role !== "admin") throw tokenNotFound(name);
  return row;
}

function tokenNotFound(name: string): FleetError {
  return new FleetError("not-found", `There is no token ${name}. See them: fleet token list`);
}

async function recordRevocation(tx: Tx, by: Operator, { issuer, jti, expiresAt }: TokenRef & { expiresAt: Date }) {
  const until = new Date(expiresAt.getTime() + 60_000);
  if (!(await insertRevocation(tx, { issuer, jti, until, by }))) return;
  await auditBy(tx, by, "token.revoked", { jti, issuer });
}

/** Written before the link is created, so that no link exists that the audit log does not know. */
export async function auditLoginLink(fleet: Fleet, by: Operator): Promise<void> {
  await fleet.store.as(by, (tx) => auditBy(tx, by, "login.linked", {}));
}

/** Stores the session of a browser that logged in, so that it is listed and can be revoked like any token. */
export async function recordSession(fleet: Pick<Fleet, "store">, of: Operator, session: SignedToken): Promise<void> {
  await fleet.store.asSystem(async (tx) => {
    const { jti, expiresAt } = session;
    const { id, tenantId, tier, role = null } = of;
    await insertToken(tx, {
      jti,
      tenantId,
      operatorId: id,
      purpose: "session",
      tier,
      role,
      name: "browser",
      issuedBy: id,
      expiresAt,
    });
    const detail = { jti, until: expiresAt.toISOString() };
    await auditOperator(tx, { operatorId: id, actor: id, action: "session.began", detail });
  });
}

/** Logs a browser out. */
export async function endSession(
  fleet: Pick<Fleet, "store">,
  of: Operator,
  session: TokenRef & { expiresAt: Date },
): Promise<void> {
  await fleet.store.asSystem(async (tx) => {
    await markTokenRevoked(tx, session.jti, of.id);
    await recordRevocation(tx, of, session);
  });
}

function assertAdmin(by: Operator): void {
  if (by.role !== "admin") throw new FleetError("tier-too-low", "Tokens of others are for role admin.");
}
