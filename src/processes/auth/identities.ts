/** Who a web process lets in: its own tokens and another issuer's, those that were taken back, and what the house knows of who asks. */
import type { Fleet } from "../../conductor/fleet.ts";
import type { Config } from "../../environment.ts";
import { FleetError } from "../../domain/errors.ts";
import { identifyBy, type Identify, type OtherIssuer } from "../../http/auth/identity.ts";
import { openIssuer } from "../../http/auth/issuer.ts";
import type { KeyRing } from "./signing-key-cache.ts";
import { openStandings, type Standings } from "./operator-cache.ts";
import { AUDIENCE, ISSUER, openTokenOffice, type TokenOffice } from "./token-service.ts";

export interface Identities extends Standings {
  readonly tokens: TokenOffice;
  /** What the token says; to be held to what the house knows. */
  readonly identify: Identify;
  /** Of pages: held already. */
  readonly identifyVisitor: Identify;
}

export async function openIdentities(fleet: Fleet, config: Config, keys: KeyRing): Promise<Identities> {
  const { clock, store } = fleet;
  const other = otherIssuer(fleet, config);
  const tokens = await openTokenOffice(fleet, keys.signing);
  const { isRevoked } = tokens;
  const { hold } = openStandings(store);
  const identify = identifyBy({ keys: keys.set, issuer: ISSUER, audience: AUDIENCE, clock, other, isRevoked });
  return {
    tokens,
    hold,
    identify,
    async identifyVisitor(token, kind) {
      const found = await identify(token, kind);
      return { ...found, operator: await hold(found.operator, { now: false }) };
    },
  };
}

/** As the settings name it; all three of them, or none. */
function otherIssuer({ clock, log }: Fleet, config: Config): OtherIssuer | undefined {
  const { FLEET_ISSUER: issuer, FLEET_ISSUER_JWKS_URL: jwksUrl, FLEET_ISSUER_AUDIENCE: audience } = config;
  if (issuer !== undefined && jwksUrl !== undefined && audience !== undefined) {
    const onUnreachable = (error: unknown) =>
      log.warn(
        { component: "issuer", issuer, error: String(error) },
        "its keys cannot be had: unknown ones are refused",
      );
    return openIssuer({ issuer, jwksUrl, audience, onUnreachable, clock });
  }
  if (issuer === undefined && jwksUrl === undefined && audience === undefined) return undefined;
  throw new FleetError(
    "invalid-input",
    "Another issuer needs all of FLEET_ISSUER, FLEET_ISSUER_JWKS_URL and FLEET_ISSUER_AUDIENCE.",
  );
}
