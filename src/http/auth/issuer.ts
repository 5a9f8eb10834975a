/** Another issuer whose tokens are believed: its public keys, fetched from where it publishes them, and kept for a while. */
import { createLocalJWKSet, createRemoteJWKSet, errors, type CryptoKey } from "jose";
import type { ExternalIssuer } from "./identity.ts";

export interface IssuerOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUrl: string;
  readonly onUnreachable: (error: unknown) => void;
  readonly clock: () => Date;
  /** How long fetched keys are believed. */
  readonly cacheMs?: number;
  /** Strangers may make up names of keys as they like; the issuer hears of them this often. */
  readonly cooldownMs?: number;
  /** After it did not answer. */
  readonly backoffMs?: number;
  readonly timeoutMs?: number;
}

/** While the issuer does not answer, keys that are known go on for the rest of their time, and others are none. */
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
      // No such key, or two of that name: the issuer did answer.
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
        return undefined;
      failedAt = clock().getTime();
      onUnreachable(error);
      return undefined;
    }
  }

  return { issuer, audience, keys: { find } };
}
