/** Another issuer whose tokens are accepted: its public keys, fetched from its JWKS URL and cached for a while. */
import { createLocalJWKSet, createRemoteJWKSet, errors, type CryptoKey } from "jose";
import type { ExternalIssuer } from "./identity.ts";

export interface IssuerOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUrl: string;
  readonly onUnreachable: (error: unknown) => void;
  readonly clock: () => Date;
  /** How long fetched keys are used. */
  readonly cacheMs?: number;
  /** Anyone can make up key ids; the issuer is requested at most this often because of them. */
  readonly cooldownMs?: number;
  /** The pause after it did not respond. */
  readonly backoffMs?: number;
  readonly timeoutMs?: number;
}

/** While the issuer does not respond, cached keys are used until they expire, and there are no others. */
export function openExternalIssuer(options: IssuerOptions): ExternalIssuer {
  const { issuer, audience, jwksUrl, onUnreachable, clock } = options;
  const { cacheMs = 5 * 60_000, cooldownMs = 30_000, backoffMs = 5_000, timeoutMs = 3_000 } = options;
  const remote = createRemoteJWKSet(new URL(jwksUrl), {
    cacheMaxAge: cacheMs,
    cooldownDuration: cooldownMs,
    timeoutDuration: timeoutMs,
  });
  let failedAt = -Infinity;

  async function find(kid: string): Promise<CryptoKey | undefined> {
    const header = { alg: "ES256", kid };
    const known = remote.fresh ? remote.jwks() : undefined;
    const isBackingOff = clock().getTime() - failedAt < backoffMs;
    try {
      if (!isBackingOff) return await remote(header);
      return known && (await createLocalJWKSet(known)(header));
    } catch (error) {
      // No such key, or two with that id: the issuer did respond.
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
        return undefined;
      failedAt = clock().getTime();
      onUnreachable(error);
      return undefined;
    }
  }

  return { issuer, audience, keys: { find } };
}
