/** Tokens over the keys of one web process: signing, recording and spending them, and the list of revoked ones. */
import { decodeJwt } from "jose";
import { endSession, recordSession, type SignedToken } from "../../conductor/access/tokens.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import type { Operator } from "../../domain/operator.ts";
import type { TokenAdmin } from "../../http/routes/tokens.ts";
import type { SessionOptions } from "../../http/auth/session.ts";
import { issueToken, type SigningKey, type TokenKind } from "../../http/auth/tokens.ts";
import { upsertOperator } from "../../store/operators.ts";
import { type Store } from "../../store/store.ts";
import { insertToken, listRevokedTokens, consumeLogin } from "../../store/tokens.ts";
import { startLoop } from "../loop.ts";

export const ISSUER = "fleetwright";
export const AUDIENCE = "fleetwright-api";

export interface TokenService extends TokenAdmin, Pick<SessionOptions, "issue" | "spend" | "end"> {
  readonly isRevoked: (issuer: string, jti: string) => Promise<boolean>;
  /** For the house's own use: makes the operator known, or known again, with exactly these rights. */
  readonly issueFor: (operator: Operator, ttlMs: number) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** A token that was revoked elsewhere is believed here for at most this long. */
const REFRESH_MS = 1_000;
/** Without the database the last list is believed this long, and then nothing. */
const MAX_STALE_MS = 3_600_000;

export async function openTokenService(
  fleet: Pick<Fleet, "store" | "clock" | "newId">,
  signing: () => SigningKey,
): Promise<TokenService> {
  const { store, clock, newId } = fleet;
  const revoked = await openRevocations(store);

  async function signToken(operator: Operator, kind: TokenKind, ttlMs: number): Promise<SignedToken> {
    const options = { kind, ttlMs, issuer: ISSUER, audience: AUDIENCE, clock, newId };
    const token = await issueToken(signing(), operator, options);
    const { jti = "", exp = 0 } = decodeJwt(token);
    return { token, jti, expiresAt: new Date(exp * 1_000) };
  }

  return {
    issuer: ISSUER,
    sign: (operator, ttlMs) => signToken(operator, "access", ttlMs),
    refresh: revoked.reread,
    isRevoked: (issuer, jti) => revoked.has(issuer, jti),
    async issue(operator, kind, ttlMs) {
      const session = await signToken(operator, kind, ttlMs);
      if (kind === "session") await recordSession(fleet, operator, session);
      return session.token;
    },
    spend: ({ operator, jti, expiresAt }) => store.asSystem((tx) => consumeLogin(tx, jti, operator, expiresAt)),
    async end({ operator, jti, expiresAt }) {
      await endSession(fleet, operator, { issuer: ISSUER, jti, expiresAt });
      await revoked.reread();
    },
    async issueFor(operator, ttlMs) {
      const { token, jti, expiresAt } = await signToken(operator, "access", ttlMs);
      const { id, tenantId, tier, role = null } = operator;
      const row = { jti, tenantId, operatorId: id, purpose: "access", tier, role, expiresAt } as const;
      await store.asSystem(async (tx) => {
        await upsertOperator(tx, operator);
        await insertToken(tx, { ...row, name: "made by the house", issuedBy: ISSUER });
      });
      return token;
    },
    stop: revoked.stop,
  };
}

function revocationKey(issuer: string, jti: string): string {
  return JSON.stringify([issuer, jti]);
}

/** What is revoked, as the database has it. */
async function openRevocations(store: Store) {
  let revoked: ReadonlySet<string> = new Set();
  let readAt = -Infinity;

  async function refresh(): Promise<void> {
    const startedAt = performance.now();
    const rows = await store.asSystem((tx) => listRevokedTokens(tx));
    // A slow look must not forget what a later one saw.
    if (startedAt < readAt) return;
    revoked = new Set(rows.map(({ issuer, jti }) => revocationKey(issuer, jti)));
    readAt = startedAt;
  }

  await refresh();
  const loop = startLoop({ everyMs: REFRESH_MS, step: refresh, onError: () => undefined });
  return {
    reread: refresh,
    async has(issuer: string, jti: string) {
      if (performance.now() - readAt > MAX_STALE_MS) await refresh();
      return revoked.has(revocationKey(issuer, jti));
    },
    stop: () => loop.stop(),
  };
}
