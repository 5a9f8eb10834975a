/** /tokens: issued for somebody, listed, revoked. Signing is the web process's own affair: it holds the keys. */
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
import { defineRoute, type Route } from "../route.ts";

export interface TokenAdmin {
  /** Our name in `iss`. */
  readonly issuer: string;
  readonly sign: (operator: Operator, ttlMs: number) => Promise<SignedToken>;
  /** Makes a revocation hold in this process before the answer leaves. */
  readonly refresh: () => Promise<void>;
}

const MINUTE_MS = 60_000;

export function tokensRoutes(admin: TokenAdmin): readonly Route<Fleet>[] {
  return [listRoute, issueRoute(admin), revokeRoute(admin)];
}

const listRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/tokens",
    tier: "observer",
    summary: "Tokens that were issued, newest first: one's own, or everybody's for role admin",
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
      tier: "observer",
      summary: "Issue a token for an operator, who is known afterwards (role admin)",
      description: "Nobody gives more than they have, and nobody gets more than is written down of them: /operators.",
      body: TokenRequest,
      reply: IssuedToken,
      statuses: { 201: "the token, shown this once" },
      errors: ["tier-too-low"],
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
      summary: "Refuse a token from now on: one's own, or anybody's for role admin",
      params: z.strictObject({
        token: z
          .string()
          .min(1)
          .max(128)
          .meta({ description: "Its `jti`, the beginning of it, or its last 8 letters" }),
      }),
      body: RevokeRequest,
      reply: RevokedToken,
      errors: ["not-found", "ambiguous-name", "tier-too-low"],
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
