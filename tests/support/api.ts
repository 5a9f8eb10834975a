/** A listening API for tests: real server, real keys, real tokens; the test defines the routes. */
import { randomUUID } from "node:crypto";
import type { Operator } from "../../src/domain/operator.ts";
import { createIdentify } from "../../src/http/auth/identity.ts";
import type { Route } from "../../src/http/route.ts";
import { createServer, type HttpOptions } from "../../src/http/server/server.ts";
import {
  createSigningKey,
  issueToken,
  staticKeySet,
  type SigningKey,
  type TokenKind,
} from "../../src/http/auth/tokens.ts";

export const ISSUER = "fleetwright-test";
export const AUDIENCE = "fleetwright-api";

export interface TestApi extends AsyncDisposable {
  readonly url: string;
  readonly key: SigningKey;
  readonly logged: { level: string; facts: object; message: string }[];
  token(operator?: Partial<Operator>, kind?: TokenKind): Promise<string>;
  readonly close: () => Promise<void>;
}

export const someOperator: Operator = { id: "ada", tenantId: "acme", tier: "builder" };

/** A function, because options of the server may need its keys. */
type ServerOverrides<Context> = (parts: {
  key: SigningKey;
  identify: ReturnType<typeof createIdentify>;
}) => Partial<HttpOptions<Context>>;

export async function testApi(
  routes: readonly Route<unknown>[],
  more: ServerOverrides<unknown> = () => ({}),
): Promise<TestApi> {
  const key = await createSigningKey();
  const logged: TestApi["logged"] = [];
  const record = (level: string) => (facts: object, message: string) => void logged.push({ level, facts, message });
  const keys = staticKeySet([key]);
  const identify = createIdentify({ keys, issuer: ISSUER, audience: AUDIENCE, clock: () => new Date() });
  const { server, close } = createServer({
    context: {},
    routes,
    identify,
    keys,
    health: {},
    log: { debug: record("debug"), info: record("info"), warn: record("warn"), error: record("error") },
    newId: randomUUID,
    ...more({ key, identify }),
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("The server does not listen.");
  return {
    url: `http://127.0.0.1:${address.port}`,
    key,
    logged,
    token: (operator = {}, kind = "access") => testToken(key, { ...someOperator, ...operator }, kind),
    close,
    [Symbol.asyncDispose]: close,
  };
}

export function testToken(key: SigningKey, operator: Operator, kind: TokenKind = "access"): Promise<string> {
  return issueToken(key, operator, {
    kind,
    ttlMs: 3_600_000,
    issuer: ISSUER,
    audience: AUDIENCE,
    clock: () => new Date(),
    newId: randomUUID,
  });
}

/** For lists of routes that are never called. */
export const NO_KEYS = {
  createKey: () => Promise.reject(new Error("No key is made here.")),
  refresh: () => Promise.resolve(),
  tokens: {
    issuer: ISSUER,
    sign: () => Promise.reject(new Error("No token is signed here.")),
    refresh: () => Promise.resolve(),
  },
};
