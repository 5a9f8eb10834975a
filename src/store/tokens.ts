/** tokens, revoked_tokens, spent_logins: issued tokens, revoked tokens, used login links. Never a token itself. */
import { z } from "zod";
import { sql, type Tx } from "./sql.ts";
import { TokenRow } from "../domain/token.ts";

export type NewToken = Omit<TokenRow, "issuedAt" | "revokedAt" | "revokedBy">;

const columns = sql`k.jti, k.tenant_id, k.operator_id, k.purpose, k.tier, k.role, k.name, k.issued_by, k.issued_at,
  k.expires_at, k.revoked_at, k.revoked_by`;

export async function insertToken(tx: Tx, token: NewToken): Promise<void> {
  const { jti, tenantId, operatorId, purpose, tier, role, name, issuedBy, expiresAt } = token;
  await tx.run`
    insert into tokens (jti, tenant_id, operator_id, purpose, tier, role, name, issued_by, expires_at)
    values (${jti}, ${tenantId}, ${operatorId}, ${purpose}, ${tier}, ${role}, ${name}, ${issuedBy}, ${expiresAt})`;
}

export interface TokenFilter {
  /** Without it, those of all visible operators. */
  readonly operatorId?: string | undefined;
  /** Also lists expired and revoked ones. */
  readonly over: boolean;
  /** Keyset: only tokens older than this one. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Lists them newest first. */
export async function listTokens(tx: Tx, { operatorId, over, before, limit }: TokenFilter): Promise<TokenRow[]> {
  return tx.many(TokenRow)`
    select ${columns} from tokens k
    where (${operatorId ?? null}::text is null or k.operator_id = ${operatorId ?? null})
      and (${before ?? null}::text is null or k.jti < ${before ?? null})
      and (${over} or (k.revoked_at is null and k.expires_at > now()))
    order by k.jti desc limit ${limit}`;
}

/** By the digits of an id, the first digits of one, or the last eight (the short name). */
export async function listTokensByName(
  tx: Tx,
  digits: string,
  { operatorId, limit }: { readonly operatorId: string | undefined; readonly limit: number },
): Promise<TokenRow[]> {
  return tx.many(TokenRow)`
    select ${columns} from tokens k
    where (starts_with(replace(k.jti, '-', ''), ${digits}) or right(k.jti, 8) = ${digits})
      and (${operatorId ?? null}::text is null or k.operator_id = ${operatorId ?? null})
    order by k.jti desc limit ${limit}`;
}

/** Returns false when it was revoked before. */
export async function markTokenRevoked(tx: Tx, jti: string, by: string): Promise<boolean> {
  return (
    (await tx.run`
      update tokens set revoked_at = now(), revoked_by = ${by} where jti = ${jti} and revoked_at is null`) === 1
  );
}

export interface Revocation {
  readonly issuer: string;
  readonly jti: string;
  /** When the token expires anyway. */
  readonly until: Date;
  readonly by: { readonly id: string; readonly tenantId: string };
}

/** Returns false when it was revoked before. */
export async function insertRevocation(tx: Tx, { issuer, jti, until, by }: Revocation): Promise<boolean> {
  return (
    (await tx.run`
      insert into revoked_tokens (issuer, jti, tenant_id, operator_id, until)
      values (${issuer}, ${jti}, ${by.tenantId}, ${by.id}, ${until})
      on conflict on constraint revoked_tokens_pkey do nothing`) === 1
  );
}

const Revoked = z.object({ issuer: z.string(), jti: z.string() });

/** Lists the revoked tokens that have not expired yet. */
export async function listRevokedTokens(tx: Tx): Promise<z.infer<typeof Revoked>[]> {
  return tx.many(Revoked)`select issuer, jti from revoked_tokens where until > now()`;
}

/** Returns true exactly once for a link. */
export async function consumeLogin(tx: Tx, jti: string, by: Revocation["by"], until: Date): Promise<boolean> {
  return (
    (await tx.run`
      insert into spent_logins (jti, tenant_id, operator_id, until) values (${jti}, ${by.tenantId}, ${by.id}, ${until})
      on conflict on constraint spent_logins_pkey do nothing`) === 1
  );
}

/** Deletes expired rows. Listings show a token for a while after it has expired; revocations and used links no longer matter then. */
export async function pruneTokens(tx: Tx, keepDays: number, limit: number): Promise<number> {
  const tokens = await tx.run`
    delete from tokens where jti = any(array(
      select jti from tokens where expires_at < now() - ${keepDays}::float8 * interval '1 day'
      order by expires_at limit ${limit}))`;
  const revoked = await tx.run`delete from revoked_tokens where until < now() - interval '1 hour'`;
  return tokens + revoked + (await tx.run`delete from spent_logins where until < now() - interval '1 hour'`);
}
