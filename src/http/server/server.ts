/** The API: each route mounted in the order limits, identity, tier, body, answer. What is not in a list does not exist. */
import { createServer as createHttpServer, type Server } from "node:http";
import express, { type Express, type Request, type RequestHandler, type Response } from "express";
import { codeOf, FleetError } from "../../domain/errors.ts";
import { isTierAtLeast, type Operator } from "../../domain/operator.ts";
import { logWhenDone, setCaller } from "./access-log.ts";
import { readBody, assertSafeInput } from "./body.ts";
import { answerBrokenRequests } from "./broken-request.ts";
import { mountDocs } from "../docs/docs.ts";
import { setPrivateCaching, computeEtag } from "./etag.ts";
import { mountHealth, type HealthCheck } from "./health.ts";
import { parseBearerToken, unauthenticated, type Identify } from "../auth/identity.ts";
import type { RateLimits } from "./limits.ts";
import { problemHandler, requestIdOf, type HttpLog } from "./problem.ts";
import type { RawRequest, Route } from "../route.ts";
import { streamEvents } from "./sse.ts";
import type { KeySet } from "../auth/tokens.ts";

export interface HttpOptions<Context> {
  readonly context: Context;
  readonly routes: readonly Route<Context>[];
  readonly identify: Identify;
  /** Holds who asks to what the house knows of them; `now`: this very moment, because they are about to change something. */
  readonly resolveOperator?: (claimed: Operator, how: { readonly now: boolean }) => Promise<Operator>;
  readonly keys: KeySet;
  readonly health: Readonly<Record<string, HealthCheck>>;
  readonly log: HttpLog;
  readonly newId: () => string;
  /** Asked before the body is read; none in tests that count nothing. */
  readonly limits?: RateLimits;
  /** Further doors of the same server (login, board, dashboard), mounted before the API's "not found". */
  readonly mounts?: readonly ((app: Express) => void)[];
  /** How long a slow client may take for its headers and for all of its request. */
  readonly timeouts?: { readonly headersMs: number; readonly requestMs: number };
  /** Addresses of proxies whose `x-forwarded-for` is believed; none by default. */
  readonly trustProxy?: readonly string[];
}

export interface HttpServer {
  readonly server: Server;
  /** Ends streams, lets answers that are under way finish, and closes. */
  readonly close: () => Promise<void>;
}

/** How long a stream goes on at most for somebody who is refused by now. */
const RECHECK_MS = 3_000;
const DEFAULT_TIMEOUTS = { headersMs: 10_000, requestMs: 30_000 };

/** A client that sends these claims to be somebody; only a verified token may say that. */
const SPOOFABLE = /^(?:x-fleet-.*|x-conviction-tier|x-wallet-address)$/;
const FORWARDED = /^(?:x-forwarded-.*|forwarded)$/;

export function createServer<Context>(options: HttpOptions<Context>): HttpServer {
  const streams = new Set<AbortController>();
  const app = express();
  app.disable("x-powered-by");
  app.set("trust proxy", options.trustProxy ?? []);
  // Ours are made from what an answer means, and for what is asked again and again only.
  app.set("etag", false);
  app.use(prepare(options));

  mountHealth(app, options.health);
  app.get("/.well-known/jwks.json", async (_request, response) => {
    // New keys are published at least this long before their first use.
    response.set("cache-control", "public, max-age=300").json({ keys: await options.keys.publicKeys() });
  });
  // Whatever is below costs something: guessing tokens, links and addresses is counted like asking.
  app.use(async (request, _response, next) => {
    await options.limits?.address(request.ip ?? "unknown");
    next();
  });
  mountDocs(app, options.routes);
  for (const mount of options.mounts ?? []) mount(app);
  mountRoutes(app, options, streams);
  app.use((request) => {
    throw new FleetError("not-found", `There is nothing at ${request.method} ${request.path}. See /api/docs.`);
  });
  app.use(problemHandler(options.log));

  const { headersMs, requestMs } = options.timeouts ?? DEFAULT_TIMEOUTS;
  const server = createHttpServer(
    {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      // Node looks for late clients every half minute by default, whatever the two limits say.
      connectionsCheckingInterval: Math.ceil(headersMs / 4),
      maxHeaderSize: 16_384,
      // Ours to refuse, with a document as everything else.
      requireHostHeader: false,
    },
    app,
  );
  server.maxRequestsPerSocket = 10_000;
  answerBrokenRequests(server, options.newId);
  return { server, close: () => close(server, streams) };
}

/** Before anything reads the request: its id is ours, and headers that pretend are gone. */
function prepare<Context>({ newId, trustProxy = [], log }: HttpOptions<Context>): RequestHandler {
  return (request, response, next) => {
    for (const name of Object.keys(request.headers)) {
      if (SPOOFABLE.test(name) || (trustProxy.length === 0 && FORWARDED.test(name))) delete request.headers[name];
    }
    // fetch sends "no-cache" beside any If-None-Match, which Express would take as "never answer 304".
    delete request.headers["cache-control"];
    // An id that the asker brings is not taken: two requests could look like one in the log.
    const requestId = newId();
    logWhenDone(log, request, response);
    response.set({ "x-request-id": requestId, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
    assertOneHost(request);
    next();
  };
}

/** Of two, a proxy may have judged the other one. */
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
    const { body: reply, lasting, status = 200, headers = {} } = await route.answer(options.context, rawRequest);
    const json = JSON.stringify(reply);
    const tagged = route.method === "get" && status === 200;
    setPrivateCaching(
      response,
      tagged ? computeEtag(lasting === undefined ? json : JSON.stringify(lasting)) : undefined,
    );
    // Express compares the tag with If-None-Match, and leaves the body out where they agree.
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

/** Identity, operator's share, tier: a stranger's body is not even read. */
async function authorize<Context>(
  route: Route<Context>,
  { identify, limits, resolveOperator }: HttpOptions<Context>,
  request: Request,
): Promise<Operator> {
  const { operator: claimed } = await identify(requireToken(request));
  await limits?.operator(claimed);
  const operator = (await resolveOperator?.(claimed, { now: route.method !== "get" })) ?? claimed;
  if (!isTierAtLeast(operator.tier, route.tier)) {
    throw new FleetError("tier-too-low", `This needs tier ${route.tier}; yours is ${operator.tier}.`, {
      needed: route.tier,
      tier: operator.tier,
    });
  }
  return operator;
}

function requireToken(request: Request): string {
  const token = parseBearerToken(request.headers.authorization);
  if (token === undefined) throw unauthenticated();
  return token;
}

/** A stream outlives its token, or the tier it was opened with: both are looked at again while it lasts. */
function recheckAccess<Context>(
  route: Route<Context>,
  options: HttpOptions<Context>,
  request: Request,
  controller: AbortController,
) {
  const check = async () => {
    const { operator: claimed } = await options.identify(requireToken(request));
    const operator = (await options.resolveOperator?.(claimed, { now: false })) ?? claimed;
    if (!isTierAtLeast(operator.tier, route.tier)) controller.abort();
  };
  return setInterval(() => {
    check().catch((error: unknown) => {
      if (codeOf(error) === "unauthenticated") controller.abort();
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
