/** Decides which callers a web process accepts: checks its own tokens and another issuer's, revocations, and the operators' rows. */
import type { Fleet } from "../../conductor/fleet.ts";
import type { Config } from "../../environment.ts";
import { FleetError } from "../../domain/errors.ts";
import { createIdentify, type Identify, type ExternalIssuer } from "../../http/auth/identity.ts";
import { openExternalIssuer } from "../../http/auth/issuer.ts";
import type { SigningKeyCache } from "./signing-key-cache.ts";
import { openOperatorCache, type OperatorCache } from "./operator-cache.ts";
import { AUDIENCE, ISSUER, openTokenService, type TokenService } from "./token-service.ts";

export interface Identities extends OperatorCache {
  readonly tokens: TokenService;
  /** The operator as claimed by the token; their row may allow less. */
  readonly identify: Identify;
  /** For pages: the operator with the rights of their row. */
  readonly identifyVisitor: Identify;
}

export async function openIdentities(fleet: Fleet, config: Config, keys: SigningKeyCache): Promise<Identities> {
  const { clock, store } = fleet;
  const externalIssuer = configuredIssuer(fleet, config);
  const tokens = await openTokenService(fleet, keys.signing);
  const { isRevoked } = tokens;
  const { resolveOperator } = openOperatorCache(store);
  const identify = createIdentify({
    keys: keys.keySet,
    issuer: ISSUER,
    audience: AUDIENCE,
    clock,
    externalIssuer,
    isRevoked,
  });
  return {
    tokens,
    resolveOperator,
    identify,
    async identifyVisitor(token, kind) {
      const found = await identify(token, kind);
      return { ...found, operator: await resolveOperator(found.operator, { now: false }) };
    },
  };
}

/** The other issuer's settings: all three of them, or none. */
function configuredIssuer({ clock, log }: Fleet, config: Config): ExternalIssuer | undefined {
  const { FLEET_ISSUER: issuer, FLEET_ISSUER_JWKS_URL: jwksUrl, FLEET_ISSUER_AUDIENCE: audience } = config;
  if (issuer !== undefined && jwksUrl !== undefined && audience !== undefined) {
    const onUnreachable = (error: unknown) =>
      log.warn(
        { component: "issuer", issuer, error: String(error) },
        "its keys cannot be fetched: tokens with unknown keys are rejected",
      );
    return openExternalIssuer({ issuer, jwksUrl, audience, onUnreachable, clock });
  }
  if (issuer === undefined && jwksUrl === undefined && audience === undefined) return undefined;
  throw new FleetError(
    "invalid-input",
    "Another issuer requires all of FLEET_ISSUER, FLEET_ISSUER_JWKS_URL and FLEET_ISSUER_AUDIENCE.",
  );
}
