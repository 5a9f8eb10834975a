/** The tokens of a web process: issued and recorded, consumed, revoked. */
import { decodeJwt } from "jose";
import { endSession, recordSession, type SignedToken } from "../../conductor/access/tokens.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import type { Operator } from "../../domain/operator.ts";
import type { TokenAdmin } from "../../http/routes/tokens.ts";
import type { SessionOptions } from "../../http/auth/session.ts";
import { issueToken, type SigningKey, type TokenKind } from "../../http/auth/tokens.ts";
import { upsertOperator } from "../../store/operators.ts";
import type { Store } from "../../store/store.ts";
import { insertToken, listRevokedTokens, consumeLogin } from "../../store/tokens.ts";
import { startLoop } from "../loop.ts";
import { refreshing } from "../refreshing.ts";

export const ISSUER = "fleetwright";
export const AUDIENCE = "fleetwright-api";

export interface TokenService extends TokenAdmin, Pick<SessionOptions, "issue" | "spend" | "end"> {
  readonly isRevoked: (issuer: string, jti: string) => Promise<boolean>;
  /** For Fleetwright's own use: records the operator, with exactly these rights, and issues a token. */
  readonly issueFor: (operator: Operator, ttlMs: number) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/** A token that was revoked elsewhere is trusted here for at most this long. */
const REFRESH_MS = 1_000;

export async function openTokenService(
  fleet: Pick<Fleet, "store" | "clock" | "newId">,
  signing: () => Promise<SigningKey>,
): Promise<TokenService> {
  const { store, clock, newId } = fleet;
  const revoked = refreshing(() => readRevocations(store));
  await revoked.refresh();
  // A failing read needs no report: after an hour without one, requests fail with its error.
  const loop = startLoop({ everyMs: REFRESH_MS, step: revoked.refresh, onError: () => undefined });

  async function signToken(operator: Operator, kind: TokenKind, ttlMs: number): Promise<SignedToken> {
    const options = { kind, ttlMs, issuer: ISSUER, audience: AUDIENCE, clock, newId };
    const token = await issueToken(await signing(), operator, options);
    const { jti = "", exp = 0 } = decodeJwt(token);
    return { token, jti, expiresAt: new Date(exp * 1_000) };
  }

  return {
    issuer: ISSUER,
    sign: (operator, ttlMs) => signToken(operator, "access", ttlMs),
    refresh: async () => void (await revoked.refresh()),
    isRevoked: async (issuer, jti) => (await revoked.get()).has(revocationKey(issuer, jti)),
    async issue(operator, kind, ttlMs) {
      const session = await signToken(operator, kind, ttlMs);
      if (kind === "session") await recordSession(fleet, operator, session);
      return session.token;
    },
    spend: ({ operator, jti, expiresAt }) => store.asSystem((tx) => consumeLogin(tx, jti, operator, expiresAt)),
    async end({ operator, jti, expiresAt }) {
      await endSession(fleet, operator, { issuer: ISSUER, jti, expiresAt });
      await revoked.refresh();
    },
    async issueFor(operator, ttlMs) {
      const { token, jti, expiresAt } = await signToken(operator, "access", ttlMs);
      const { id, tenantId, tier, role = null } = operator;
      const row = { jti, tenantId, operatorId: id, purpose: "access", tier, role, expiresAt } as const;
      await store.asSystem(async (tx) => {
        await upsertOperator(tx, operator);
        await insertToken(tx, { ...row, name: "issued by Fleetwright", issuedBy: ISSUER });
      });
      return token;
    },
    stop: () => loop.stop(),
  };
}

function revocationKey(issuer: string, jti: string): string {
  return JSON.stringify([issuer, jti]);
}

async function readRevocations(store: Store): Promise<ReadonlySet<string>> {
  const rows = await store.asSystem((tx) => listRevokedTokens(tx));
  return new Set(rows.map(({ issuer, jti }) => revocationKey(issuer, jti)));
}
