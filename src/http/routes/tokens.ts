/** /tokens: issued, listed, revoked. The web process passes in how to sign, because it holds the keys. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import { issueTokenFor, listTokensFor, revokeToken, type SignedToken } from "../../conductor/access/tokens.ts";
import type { Operator } from "../../domain/operator.ts";
import { pageOf } from "../../views/page.ts";
import {
  IssuedToken,
  RevokedToken,
  RevokeRequest,
  TokenRequest,
  TokensQuery,
  TokenView,
  viewToken,
} from "../../views/token.ts";
import { defineRoute } from "../route.ts";

export interface TokenAdmin {
  /** The `iss` of the tokens that this fleet issues. */
  readonly issuer: string;
  readonly sign: (operator: Operator, ttlMs: number) => Promise<SignedToken>;
  /** Reloads the revocations, so that one holds in this process before the response is sent. */
  readonly refresh: () => Promise<void>;
}

const MINUTE_MS = 60_000;

export function tokensRoutes(admin: TokenAdmin) {
  return [listRoute, issueRoute(admin), revokeRoute(admin)] as const;
}

const listRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/tokens",
    tier: "observer",
    summary: "Issued tokens, newest first: your own, or all for role admin",
    query: TokensQuery,
    reply: pageOf(TokenView),
  },
  async (fleet: Fleet, { operator, query: { over, cursor, limit } }) => {
    const rows = await listTokensFor(fleet, operator, { over, before: cursor, limit: limit + 1 });
    const items = rows.slice(0, limit);
    const now = fleet.clock();
    const nextCursor = rows.length > limit ? (items.at(-1)?.jti ?? null) : null;
    return { body: { items: items.map((row) => viewToken(row, now)), nextCursor } };
  },
);

function issueRoute({ sign }: TokenAdmin) {
  return defineRoute(
    {
      method: "post",
      path: "/api/fleet/tokens",
      role: "admin",
      summary: "Issue a token for an operator; a new operator is added",
      description:
        "Tier and role are limited by your own, and for a known operator by what is recorded for them: see /operators.",
      body: TokenRequest,
      reply: IssuedToken,
      statuses: { 201: "the token; it is shown only once" },
    },
    async (fleet: Fleet, { operator, body: { ttlMinutes, ...request } }) => {
      const issued = await issueTokenFor(fleet, operator, { ...request, ttlMs: ttlMinutes * MINUTE_MS }, sign);
      const { token, jti, expiresAt } = issued;
      return {
        status: 201,
        body: { token, id: jti, expiresAt: expiresAt.toISOString() },
        headers: { "cache-control": "no-store" },
      };
    },
  );
}

function revokeRoute({ issuer: ownIssuer, refresh }: TokenAdmin) {
  return defineRoute(
    {
      method: "post",
      path: "/api/fleet/tokens/:token/revoke",
      tier: "observer",
      summary: "Revoke a token: your own, or any for role admin",
      params: z.strictObject({
        token: z.string().min(1).max(128).meta({ description: "Its `jti`, a prefix of it, or its last 8 characters" }),
      }),
      body: RevokeRequest,
      reply: RevokedToken,
      errors: ["not-found", "ambiguous-name"],
    },
    async (fleet: Fleet, { operator, params, body }) => {
      const { jti, issuer } = await revokeToken(
        fleet,
        operator,
        { jti: params.token, issuer: body.issuer ?? ownIssuer },
        ownIssuer,
      );
      await refresh();
      return { body: { id: jti, issuer } };
    },
  );
}
