/** The API server: each request passes limits, identity, access, body and handler, in this order. Only listed routes exist. */
import { createServer as createHttpServer, type Server } from "node:http";
import express, { type Express, type Request, type RequestHandler, type Response } from "express";
import { codeOf, FleetError } from "../../domain/errors.ts";
import { isRoleAtLeast, isTierAtLeast, type Operator } from "../../domain/operator.ts";
import { logWhenDone, setCaller } from "./access-log.ts";
import { readBody, assertSafeInput } from "./body.ts";
import { answerBrokenRequests } from "./broken-request.ts";
import { mountDocs } from "../docs/docs.ts";
import { setPrivateCaching, computeEtag } from "./etag.ts";
import { mountHealth, type HealthCheck } from "./health.ts";
import { parseBearerToken, unauthenticated, type Identify } from "../auth/identity.ts";
import type { RateLimits } from "./limits.ts";
import { problemHandler, requestIdOf, type HttpLog } from "./problem.ts";
import type { RawRequest, Route, RouteSpec } from "../route.ts";
import { streamEvents } from "./sse.ts";
import type { KeySet } from "../auth/tokens.ts";

export interface HttpOptions<Context> {
  readonly context: Context;
  readonly routes: readonly Route<Context>[];
  readonly identify: Identify;
  /** Limits an operator to what is recorded of them; `now` reads it without a cache, because they are about to change something. */
  readonly resolveOperator?: (claimed: Operator, how: { readonly now: boolean }) => Promise<Operator>;
  readonly keys: KeySet;
  readonly health: Readonly<Record<string, HealthCheck>>;
  readonly log: HttpLog;
  readonly newId: () => string;
  /** Checked before the body is read; left out in tests that count nothing. */
  readonly limits?: RateLimits;
  /** What else this server serves (login, board, dashboard), mounted before the "not found" of the API. */
  readonly mounts?: readonly ((app: Express) => void)[];
  /** How long a slow client may take for its headers and for all of its request. */
  readonly timeouts?: { readonly headersMs: number; readonly requestMs: number };
  /** Addresses of proxies whose `x-forwarded-for` is trusted; none by default. */
  readonly trustProxy?: readonly string[];
}

export interface HttpServer {
  readonly server: Server;
  /** Ends streams, lets requests in progress finish, and closes. */
  readonly close: () => Promise<void>;
}

/** How often a stream checks whether its operator may still use it. */
const RECHECK_MS = 3_000;
const DEFAULT_TIMEOUTS = { headersMs: 10_000, requestMs: 30_000 };

/** These headers claim an identity; only a verified token may do that. */
const SPOOFABLE = /^(?:x-fleet-.*|x-conviction-tier|x-wallet-address)$/;
const FORWARDED = /^(?:x-forwarded-.*|forwarded)$/;

export function createServer<Context>(options: HttpOptions<Context>): HttpServer {
  const streams = new Set<AbortController>();
  const app = express();
  app.disable("x-powered-by");
  app.set("trust proxy", options.trustProxy ?? []);
  // Express would hash every body; ours are computed from the part that counts as a change, and for GET only.
  app.set("etag", false);
  app.use(prepare(options));

  mountHealth(app, options.health);
  app.get("/.well-known/jwks.json", async (_request, response) => {
    // A new key is published at least this long before its first use.
    response.set("cache-control", "public, max-age=300").json({ keys: await options.keys.publicKeys() });
  });
  // Everything below counts against the limit of the address: guessing tokens, links and paths does, too.
  app.use(async (request, _response, next) => {
    await options.limits?.address(request.ip ?? "unknown");
    next();
  });
  mountDocs(app, options.routes);
  for (const mount of options.mounts ?? []) mount(app);
  mountRoutes(app, options, streams);
  app.use((request) => {
    throw new FleetError("not-found", `${request.method} ${request.path} does not exist. See /api/docs.`);
  });
  app.use(problemHandler(options.log));

  const { headersMs, requestMs } = options.timeouts ?? DEFAULT_TIMEOUTS;
  const server = createHttpServer(
    {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      // By default Node checks both limits only every 30 s.
      connectionsCheckingInterval: Math.ceil(headersMs / 4),
      maxHeaderSize: 16_384,
      // prepare() refuses it, with a problem document.
      requireHostHeader: false,
    },
    app,
  );
  server.maxRequestsPerSocket = 10_000;
  answerBrokenRequests(server, options.newId);
  return { server, close: () => close(server, streams) };
}

/** Runs before anything reads the request: sets its id, and removes headers that claim an identity. */
function prepare<Context>({ newId, trustProxy = [], log }: HttpOptions<Context>): RequestHandler {
  return (request, response, next) => {
    for (const name of Object.keys(request.headers)) {
      if (SPOOFABLE.test(name) || (trustProxy.length === 0 && FORWARDED.test(name))) delete request.headers[name];
    }
    // fetch sends "no-cache" with any If-None-Match, and then Express would never answer 304.
    delete request.headers["cache-control"];
    // An id from the client is ignored: two requests could look like one in the log.
    const requestId = newId();
    logWhenDone(log, request, response);
    response.set({ "x-request-id": requestId, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
    assertOneHost(request);
    next();
  };
}

/** With two Host headers, a proxy may have routed by the other one. */
function assertOneHost({ rawHeaders, httpVersion }: Request): void {
  const hosts = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "host").length;
  if (hosts > 1 || (hosts === 0 && httpVersion !== "1.0")) {
    throw new FleetError("malformed-request", `A request names one host, not ${hosts}.`);
  }
}

function mountRoutes<Context>(app: Express, options: HttpOptions<Context>, streams: Set<AbortController>): void {
  const methods = new Map<string, string[]>();
  for (const route of options.routes) {
    methods.set(route.path, [...(methods.get(route.path) ?? []), route.method.toUpperCase()]);
    app[route.method](route.path, (request, response) => serve(route, options, streams, { request, response }));
  }
  for (const [path, allowed] of methods) {
    app.all(path, (request, response) => {
      response.set("allow", allowed.join(", "));
      throw new FleetError(
        "method-not-allowed",
        `${request.path} answers ${allowed.join(", ")}, not ${request.method}.`,
      );
    });
  }
}

interface Exchange {
  readonly request: Request;
  readonly response: Response;
}

async function serve<Context>(
  route: Route<Context>,
  options: HttpOptions<Context>,
  streams: Set<AbortController>,
  { request, response }: Exchange,
): Promise<void> {
  const operator = await authorize(route, options, request);
  setCaller(response, operator);
  const body = await readBody(request, response);
  const params = { ...request.params };
  const query = { ...request.query };
  assertSafeInput("path", params);
  assertSafeInput("query", query);
  const controller = new AbortController();
  response.once("close", () => controller.abort());
  const rawRequest: RawRequest = {
    operator,
    body,
    params,
    query,
    signal: controller.signal,
    requestId: requestIdOf(response),
    idempotencyKey: request.get("idempotency-key"),
    lastEventId: request.get("last-event-id"),
  };

  if (route.kind === "json") {
    const { body: reply, tagged, status = 200, headers = {} } = await route.answer(options.context, rawRequest);
    const hasTag = route.method === "get" && status === 200;
    const json = JSON.stringify(reply);
    setPrivateCaching(response, hasTag ? computeEtag(tagged === reply ? json : JSON.stringify(tagged)) : undefined);
    // Express compares the tag with If-None-Match, and omits the body where they are equal.
    response.set(headers).status(status).type("json").send(json);
    return;
  }
  streams.add(controller);
  const recheck = recheckAccess(route, options, request, controller);
  try {
    await streamEvents(response, await route.open(options.context, rawRequest), { signal: controller.signal });
  } finally {
    clearInterval(recheck);
    streams.delete(controller);
  }
}

/** Identity, rate limit, access: the body of a request that fails one of them is not even read. */
async function authorize<Context>(
  route: Route<Context>,
  { identify, limits, resolveOperator }: HttpOptions<Context>,
  request: Request,
): Promise<Operator> {
  const { operator: claimed } = await identify(requireToken(request));
  await limits?.operator(claimed);
  const operator = (await resolveOperator?.(claimed, { now: route.method !== "get" })) ?? claimed;
  assertAccess(route, operator);
  return operator;
}

/** Throws "tier-too-low" for an operator without the tier or the role that the route needs. */
function assertAccess({ tier, role }: Pick<RouteSpec, "tier" | "role">, operator: Operator): void {
  if (tier && !isTierAtLeast(operator.tier, tier)) {
    const message = `This needs tier ${tier}; yours is ${operator.tier}.`;
    throw new FleetError("tier-too-low", message, { needed: tier, tier: operator.tier });
  }
  if (role && !isRoleAtLeast(operator.role, role)) {
    throw new FleetError("tier-too-low", `This needs role ${role}.`, { needed: role });
  }
}

function requireToken(request: Request): string {
  const token = parseBearerToken(request.headers.authorization);
  if (token === undefined) throw unauthenticated();
  return token;
}

/** A stream may outlive its token, or the access that it was opened with: both are checked again while it lasts. */
function recheckAccess<Context>(
  route: Route<Context>,
  options: HttpOptions<Context>,
  request: Request,
  controller: AbortController,
) {
  const check = async () => {
    const { operator: claimed } = await options.identify(requireToken(request));
    const operator = (await options.resolveOperator?.(claimed, { now: false })) ?? claimed;
    assertAccess(route, operator);
  };
  return setInterval(() => {
    check().catch((error: unknown) => {
      if (["unauthenticated", "tier-too-low"].includes(codeOf(error) ?? "")) controller.abort();
    });
  }, RECHECK_MS);
}

async function close(server: Server, streams: ReadonlySet<AbortController>): Promise<void> {
  for (const stream of streams) stream.abort();
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const forceClose = setTimeout(() => server.closeAllConnections(), 5_000);
  await closed;
  clearTimeout(forceClose);
}
