/** Signs with the key that currently signs tokens, and verifies such signatures. */
import type { Signer } from "../../conductor/fleet.ts";
import type { Config } from "../../environment.ts";
import { P256 } from "../../http/auth/tokens.ts";
import type { Store } from "../../store/store.ts";
import { loadSigningKeys } from "./keys.ts";

const ES256 = { name: "ECDSA", hash: "SHA-256" };

/** Reads the keys each time, because it signs only once an hour and a rotation may happen in between. */
export function openSigner(store: Store, config: Config): Signer {
  return {
    async sign(text) {
      const { signing } = await loadSigningKeys(store, config);
      const signature = await crypto.subtle.sign(ES256, signing.privateKey, Buffer.from(text));
      return { keyId: signing.kid, signature: Buffer.from(signature).toString("base64url") };
    },
    async verify({ x, y }, text, signature) {
      const key = await crypto.subtle.importKey("jwk", { kty: "EC", crv: "P-256", ...strings({ x, y }) }, P256, false, [
        "verify",
      ]);
      return crypto.subtle.verify(ES256, key, Buffer.from(signature, "base64url"), Buffer.from(text));
    },
  };
}

function strings(of: { x: unknown; y: unknown }): { x: string; y: string } {
  return { x: String(of.x), y: String(of.y) };
}
