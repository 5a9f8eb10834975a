/** Authentication: every kind of invalid token is refused with the same message. */
import { createHmac, randomUUID } from "node:crypto";
import { decodeJwt, exportJWK, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { codeOf } from "../../../src/domain/errors.ts";
import { createIdentify } from "../../../src/http/auth/identity.ts";
import { defineRoute } from "../../../src/http/route.ts";
import {
  createSigningKey,
  exportSigningKey,
  importSigningKey,
  staticKeySet,
  type SigningKey,
  type TokenKind,
} from "../../../src/http/auth/tokens.ts";
import { AUDIENCE, ISSUER, testApi, testToken, someOperator, type TestApi } from "../../support/api.ts";

const me = defineRoute(
  { method: "get", path: "/api/fleet/me", tier: "observer", summary: "Who asks", reply: z.object({ id: z.string() }) },
  async (_context: unknown, { operator }) => ({ body: operator }),
);

let api: TestApi;
let stranger: SigningKey;
beforeAll(async () => {
  api = await testApi([me]);
  stranger = await createSigningKey();
});
afterAll(() => api.close());

async function statusFor(token: string): Promise<number> {
  const response = await fetch(new URL("/api/fleet/me", api.url), { headers: { authorization: `Bearer ${token}` } });
  const body: unknown = await response.json();
  const same = { type: "/problems/unauthenticated", detail: "A valid token is needed: Authorization: Bearer <token>." };
  expect(response.ok ? same : body).toMatchObject(same);
  return response.status;
}

const seconds = () => Math.floor(Date.now() / 1_000);
const claims = () => ({
  sub: "ada",
  tenant: "acme",
  tier: "builder",
  iss: ISSUER,
  aud: AUDIENCE,
  iat: seconds(),
  exp: seconds() + 600,
  jti: randomUUID(),
});
type Claims = Record<string, unknown>;

function sign(payload: Claims, header: Claims = {}, key: SigningKey = api.key): Promise<string> {
  return new SignJWT(payload)
    .setProtectedHeader({ alg: "ES256", kid: api.key.kid, typ: "at+jwt", ...header })
    .sign(key.privateKey);
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

test("a token that Fleetwright issued is accepted, with exactly the rights it carries", async () => {
  expect(await statusFor(await api.token())).toBe(200);
  expect(await statusFor(await api.token({}, "session"))).toBe(401);
  expect(await statusFor(await api.token({}, "login"))).toBe(401);
});

test("a key that was saved to its file and loaded again signs the same", async () => {
  const again = await importSigningKey(await exportSigningKey(api.key));
  expect(await statusFor(await testToken(again, someOperator))).toBe(200);
});

test("a missing token and malformed ones are refused", async () => {
  expect((await fetch(new URL("/api/fleet/me", api.url))).status).toBe(401);
  for (const token of ["x", "a.b", "a.b.c.d", "..", `${encode({ alg: "ES256" })}.${encode({})}.`, "a".repeat(9_000)]) {
    expect(await statusFor(token), token.slice(0, 40)).toBe(401);
  }
});

const WRONG: Readonly<Record<string, () => Promise<string>>> = {
  "signed by nobody": async () => `${encode({ alg: "none", kid: api.key.kid, typ: "at+jwt" })}.${encode(claims())}.e30`,
  "HS256 with the public key as the secret": async () => {
    const head = `${encode({ alg: "HS256", kid: api.key.kid, typ: "at+jwt" })}.${encode(claims())}`;
    const secret = JSON.stringify(await exportJWK(api.key.publicKey));
    return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
  },
  "signed by a stranger under our key's name": () => sign(claims(), {}, stranger),
  "signed by a stranger who brings the key along": async () =>
    sign(claims(), { jwk: await exportJWK(stranger.publicKey) }, stranger),
  "ours, but pointing elsewhere for its key": () => sign(claims(), { jku: "https://evil.example/jwks.json" }),
  "ours, but with a certificate": () => sign(claims(), { x5u: "https://evil.example/cert.pem" }),
  "without a kid": () => sign(claims(), { kid: undefined }),
  "with a kid that is a path": () => sign(claims(), { kid: "../../dev/null" }),
  "with a kid that is SQL": () => sign(claims(), { kid: "x' or 1=1 --" }),
  "with a kid that is a list": () => sign(claims(), { kid: [api.key.kid] }),
  "with a kid of a prototype": () => sign(claims(), { kid: "__proto__" }),
  "with an unknown kid": () => sign(claims(), { kid: stranger.kid }),
  "with an unknown extension": () => sign(claims(), { b64: true }),
  "of another type": () => sign(claims(), { typ: "JWT" }),
  "of no type": () => sign(claims(), { typ: undefined }),
  "from another issuer": () => sign({ ...claims(), iss: "somebody" }),
  "for another audience": () => sign({ ...claims(), aud: "another-api" }),
  expired: () => sign({ ...claims(), iat: seconds() - 700, exp: seconds() - 10 }),
  "not valid yet": () => sign({ ...claims(), nbf: seconds() + 60 }),
  "issued in the future": () => sign({ ...claims(), iat: seconds() + 60, exp: seconds() + 600 }),
  "living longer than a day": () => sign({ ...claims(), exp: seconds() + 90_000 }),
  "without exp": () => sign({ ...claims(), exp: undefined }),
  "without iat": () => sign({ ...claims(), iat: undefined }),
  "without jti": () => sign({ ...claims(), jti: undefined }),
  "without sub": () => sign({ ...claims(), sub: undefined }),
  "without tenant": () => sign({ ...claims(), tenant: undefined }),
  "with an unknown tier": () => sign({ ...claims(), tier: "emperor" }),
  "with an unknown role": () => sign({ ...claims(), role: "root" }),
  "with a tenant that is SQL": () => sign({ ...claims(), tenant: "a'; drop table" }),
  "with its claims changed": async () => {
    const [head, , signature] = (await sign(claims())).split(".");
    return `${head}.${encode({ ...claims(), tier: "sovereign" })}.${signature}`;
  },
  "with its signature cut": async () => (await sign(claims())).slice(0, -8),
};

test.each(Object.keys(WRONG))("a token %s is refused", async (what) => {
  expect(await statusFor(await WRONG[what]!())).toBe(401);
});

/** A verifier that has already accepted one token several times; each test then changes something. */
async function door() {
  const revoked = new Set<string>();
  const world = { now: new Date(), keys: [api.key] };
  const identify = createIdentify({
    keys: {
      find: (kid) => staticKeySet(world.keys).find(kid),
      publicKeys: () => staticKeySet(world.keys).publicKeys(),
    },
    issuer: ISSUER,
    audience: AUDIENCE,
    clock: () => world.now,
    isRevoked: async (_issuer, jti) => revoked.has(jti),
  });
  const token = await api.token();
  const ask = (brought = token, kind?: TokenKind) =>
    identify(brought, kind).then(
      ({ operator }) => operator.id,
      (error: unknown) => codeOf(error),
    );
  for (let times = 0; times < 3; times += 1) expect(await ask()).toBe("ada");
  return {
    world,
    revoked,
    token,
    ask,
    seconds: (count: number) => (world.now = new Date(world.now.getTime() + count * 1_000)),
  };
}

test("a previously accepted token is refused at once when it is revoked", async () => {
  const { revoked, token, ask } = await door();
  revoked.add(String(decodeJwt(token).jti));
  expect(await ask()).toBe("unauthenticated");
  revoked.clear();
  expect(await ask()).toBe("ada");
});

test("a previously accepted token is refused when its key is removed or replaced under the same name", async () => {
  const { world, ask } = await door();
  world.keys = [];
  expect(await ask()).toBe("unauthenticated");
  world.keys = [{ ...stranger, kid: api.key.kid }];
  expect(await ask()).toBe("unauthenticated");
  // Web processes reload the key each second: another object, the same key.
  world.keys = [await importSigningKey(await exportSigningKey(api.key))];
  expect(await ask()).toBe("ada");
  expect(await ask()).toBe("ada");
});

test("a previously accepted token is refused after it expires and before it is valid", async () => {
  const { ask, seconds: pass } = await door();
  pass(3_590);
  expect(await ask()).toBe("ada");
  pass(30);
  expect(await ask()).toBe("unauthenticated");
  pass(-7_200);
  expect(await ask()).toBe("unauthenticated");
});

test("a previously accepted token does not pass as another kind of token, nor as another token", async () => {
  const { token, ask } = await door();
  expect(await ask(token, "session")).toBe("unauthenticated");
  expect(await ask(`${token.slice(0, -8)}AAAAAAAA`)).toBe("unauthenticated");
  const [head, , signature] = token.split(".");
  expect(await ask(`${head}.${encode({ ...claims(), tier: "sovereign" })}.${signature}`)).toBe("unauthenticated");
});
