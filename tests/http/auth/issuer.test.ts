/**
 * An external issuer, over a real HTTP server that publishes its keys: its tokens are trusted within the same bounds,
 * and only while it can be reached.
 */
import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { createIdentify } from "../../../src/http/auth/identity.ts";
import { openExternalIssuer } from "../../../src/http/auth/issuer.ts";
import { defineRoute } from "../../../src/http/route.ts";
import { createSigningKey, staticKeySet, publicJwk, type SigningKey } from "../../../src/http/auth/tokens.ts";
import { AUDIENCE, ISSUER, testApi, type TestApi } from "../../support/api.ts";

const THEIRS = "https://login.example/";
const CACHE_MS = 300;

const me = defineRoute(
  { method: "get", path: "/api/fleet/me", tier: "observer", summary: "Who asks", reply: z.object({ id: z.string() }) },
  async (_context: unknown, { operator }) => ({ body: operator }),
);

let publisher: Server;
let api: TestApi;
let published: unknown[];
let fetches: number;
let status: number;
let revoked: Set<string>;
let key: SigningKey;

beforeEach(async () => {
  [published, fetches, status, revoked] = [[], 0, 200, new Set()];
  key = await createSigningKey();
  published.push(await publicJwk(key));
  publisher = createServer((_request, response) => {
    fetches += 1;
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ keys: published }));
  });
  await new Promise<void>((resolve) => publisher.listen(0, "127.0.0.1", resolve));
  const address = publisher.address();
  const port = typeof address === "object" ? address?.port : 0;
  const other = openExternalIssuer({
    issuer: THEIRS,
    audience: "fleet-api",
    jwksUrl: `http://127.0.0.1:${port}/jwks.json`,
    onUnreachable: () => undefined,
    clock: () => new Date(),
    cacheMs: CACHE_MS,
    cooldownMs: 0,
    backoffMs: 50,
    timeoutMs: 500,
  });
  api = await testApi([me], ({ key: ours }) => ({
    identify: createIdentify({
      keys: staticKeySet([ours]),
      issuer: ISSUER,
      audience: AUDIENCE,
      clock: () => new Date(),
      externalIssuer: other,
      isRevoked: async (issuer, jti) => revoked.has(`${issuer} ${jti}`),
    }),
  }));
});
afterEach(async () => {
  await api.close();
  publisher.closeAllConnections();
  await new Promise((resolve) => publisher.close(resolve));
});

const seconds = () => Math.floor(Date.now() / 1_000);

function sign(claims: object = {}, header: object = {}, by: SigningKey = key): Promise<string> {
  const good = { sub: "ada", tenant: "acme", tier: "builder", iss: THEIRS, aud: "fleet-api", jti: randomUUID() };
  return new SignJWT({ ...good, iat: seconds(), exp: seconds() + 600, ...claims })
    .setProtectedHeader({ alg: "ES256", kid: by.kid, typ: "JWT", ...header })
    .sign(by.privateKey);
}

async function statusFor(token: string): Promise<number> {
  return (await fetch(new URL("/api/fleet/me", api.url), { headers: { authorization: `Bearer ${token}` } })).status;
}

test("tokens of an external issuer are accepted alongside our own, and its keys are fetched once", async () => {
  const tokens = await Promise.all([sign(), sign(), sign({}, { typ: "at+jwt" })]);
  expect(await Promise.all(tokens.map((token) => statusFor(token)))).toEqual([200, 200, 200]);
  expect(fetches).toBe(1);
  expect(await statusFor(await api.token())).toBe(200);
});

test("an external issuer is held to the same bounds, and its keys sign for no other issuer", async () => {
  const wrong = await Promise.all([
    sign({ aud: AUDIENCE }),
    sign({ iss: ISSUER, aud: AUDIENCE }, { typ: "at+jwt" }),
    sign({ exp: seconds() + 90_000 }),
    sign({ tier: "emperor" }),
    sign({ jti: undefined }),
    sign({}, { jku: "http://127.0.0.1:9/" }),
    sign({}, { typ: "fleet-session+jwt" }),
    sign({}, { kid: "nobody" }),
    // Our key must not sign for the external issuer.
    sign({}, {}, api.key),
  ]);
  expect(await Promise.all(wrong.map((token) => statusFor(token)))).toEqual(wrong.map(() => 401));
});

test("a key of another type is ignored, although it is published", async () => {
  const { publicKey, privateKey } = await generateKeyPair("RS256", { extractable: true });
  published.push({ ...(await exportJWK(publicKey)), kid: "rsa", use: "sig" });
  const token = await new SignJWT({
    sub: "ada",
    tenant: "acme",
    tier: "builder",
    iss: THEIRS,
    aud: "fleet-api",
    jti: "j",
  })
    .setProtectedHeader({ alg: "RS256", kid: "rsa", typ: "JWT" })
    .setIssuedAt()
    .setExpirationTime("5m")
    .sign(privateKey);
  expect(await statusFor(token)).toBe(401);
});

test("a new key is found when it is first used; a withdrawn one is refused once the cache expires", async () => {
  const old = await sign();
  expect(await statusFor(old)).toBe(200);
  const next = await createSigningKey();
  published = [await publicJwk(next)];
  expect(await statusFor(await sign({}, {}, next))).toBe(200);
  expect(await statusFor(old)).toBe(401);
});

test("while the issuer is unreachable, known keys work until the cache expires; after that all are refused with 401 and not 5xx", async () => {
  const token = await sign();
  expect(await statusFor(token)).toBe(200);
  const until = Date.now() + CACHE_MS;
  status = 500;
  const stranger = await sign({}, {}, await createSigningKey());
  const first = await statusFor(token);
  // On a slow machine the cache may have expired already.
  expect(Date.now() < until ? first : 200).toBe(200);
  expect(await statusFor(stranger)).toBe(401);
  await expect.poll(() => statusFor(token), { timeout: 5_000 }).toBe(401);

  status = 200;
  await expect.poll(() => statusFor(token), { timeout: 5_000 }).toBe(200);
});

test("its tokens are revoked by issuer and id, and the same id of our own is a different token", async () => {
  const [one, two] = [await sign({ jti: "same" }), await api.token()];
  revoked.add(`${ISSUER} same`);
  expect(await statusFor(one)).toBe(200);
  revoked.add(`${THEIRS} same`);
  expect([await statusFor(one), await statusFor(two)]).toEqual([401, 200]);
});
