/** What a route is: data, from which the server mounts it, the OpenAPI document describes it and the CLI takes its types. */
import { z } from "zod";
import { parseInput, type FailureCode } from "../domain/errors.ts";
import type { Operator, Role, Tier } from "../domain/operator.ts";

type Shape = z.ZodType;
type Method = "get" | "post" | "put" | "delete";

/** Methods that change nothing. */
export const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/** How a route is described. What is left out is empty: unknown parameters and fields are refused, not ignored. */
export interface RouteSpec<
  Params = Shape,
  Query extends Shape = Shape,
  Body extends Shape = Shape,
  Reply extends Shape = Shape,
  M extends Method = Method,
  Path extends string = string,
  Idempotent extends boolean = boolean,
> {
  readonly method: M;
  /** `/api/fleet/tasks/:task`; every `:name` is a key of `params`. */
  readonly path: Path;
  /** It is done once per `Idempotency-Key`, however often it is requested. */
  readonly idempotent?: Idempotent;
  /** The lowest tier that may use it, where a tier decides. */
  readonly tier?: Tier;
  /** The lowest role that may use it, where a role decides. */
  readonly role?: Role;
  readonly summary: string;
  readonly description?: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  /** Every reply is parsed with this, so a field that the schema does not name never leaves the server. */
  readonly reply: Reply;
  /** The part of the reply that counts as a change, where an age or the time of the request would make every reply new. */
  etagOf?(this: void, reply: z.output<Reply>): unknown;
  /** The statuses of success, with their meaning, where they are not 200 alone: `{ 201: "a new task" }`. */
  readonly statuses?: Readonly<Record<number, string>>;
  /** What it may refuse with, besides what every route may. */
  readonly errors?: readonly FailureCode[];
}

/** Every route says who may use it: one that says neither does not compile. */
type Access = { readonly tier: Tier } | { readonly role: Role };

/** Path parameters that name something: it is found before the handler runs, and the handler gets it instead of its name. */
export interface Resource<Context, Names extends Shape, Found> {
  readonly names: Names;
  /** Only the owner of what is named may use the route; `find` refuses everyone else. */
  readonly owner?: boolean;
  readonly errors: readonly FailureCode[];
  find(this: void, context: Context, by: Operator, names: z.output<Names>): Promise<Found>;
}

/** What a handler gets: the operator is known, the parts are parsed. */
export interface RouteRequest<Params, Query, Body> {
  readonly operator: Operator;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly idempotencyKey: string | undefined;
  readonly requestId: string;
  /** Aborted when the client disconnects or the server closes. */
  readonly signal: AbortSignal;
}

export interface RouteResponse<Body> {
  readonly status?: number;
  readonly body: Body;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A response with its body parsed, and the part of it that counts as a change. */
export interface ParsedResponse extends RouteResponse<unknown> {
  readonly tagged: unknown;
}

/** One server-sent event; a client resumes from `id`. */
export interface StreamEvent<Data> {
  readonly id?: string;
  readonly event?: string;
  readonly data: Data;
}

/** What the server passes in: nothing is parsed yet. */
export interface RawRequest extends RouteRequest<unknown, unknown, unknown> {
  readonly lastEventId: string | undefined;
}

/** As defined: `params` is the schema of the names, and a resource's errors are among the errors of the route. */
export type JsonRoute<Context, Spec extends RouteSpec = RouteSpec> = Spec & {
  readonly kind: "json";
  /** Only the owner of what the path names may use it. */
  readonly owner: boolean;
  readonly answer: (context: Context, raw: RawRequest) => Promise<ParsedResponse>;
};

export type StreamRoute<Context, Spec extends RouteSpec = RouteSpec> = Spec & {
  readonly kind: "sse";
  readonly owner: boolean;
  /** Parses at once, so that an invalid request gets a problem document and not a broken stream. */
  readonly open: (context: Context, raw: RawRequest) => Promise<AsyncIterable<StreamEvent<unknown>>>;
};

export type Route<Context> = JsonRoute<Context> | StreamRoute<Context>;

const Empty = z.strictObject({});
type Empty = typeof Empty;

/** A route that answers with JSON. `Context` is what the handler's first parameter says it is (a Fleet). */
export function defineRoute<
  Context,
  const M extends Method,
  const Path extends string,
  Reply extends Shape,
  Names extends Shape = Empty,
  Found = z.output<Names>,
  Query extends Shape = Empty,
  Body extends Shape = Empty,
  const Idempotent extends boolean = false,
>(
  spec: RouteSpec<Names | Resource<Context, Names, Found>, Query, Body, Reply, M, Path, Idempotent> & Access,
  handle: (
    context: Context,
    request: RouteRequest<Found, z.output<Query>, z.output<Body>>,
  ) => Promise<RouteResponse<z.input<Reply>>>,
): JsonRoute<Context, RouteSpec<Names, Query, Body, Reply, M, Path, Idempotent>> {
  const resource = toResource(spec.params);
  return {
    ...withResource(spec, resource),
    kind: "json",
    async answer(context, raw) {
      const { body, ...rest } = await handle(context, await parseRequest(spec, resource, context, raw));
      const reply = spec.reply.parse(body);
      return { ...rest, body: reply, tagged: spec.etagOf ? spec.etagOf(reply) : reply };
    },
  };
}

/** A route that streams server-sent events; `reply` is the shape of each event's data. */
export function defineStream<
  Context,
  const Path extends string,
  Reply extends Shape,
  Names extends Shape = Empty,
  Found = z.output<Names>,
  Query extends Shape = Empty,
>(
  spec: Omit<
    RouteSpec<Names | Resource<Context, Names, Found>, Query, Empty, Reply, "get", Path, false>,
    "method" | "idempotent" | "body"
  > &
    Access,
  handle: (
    context: Context,
    request: RouteRequest<Found, z.output<Query>, unknown> & { readonly lastEventId: string | undefined },
  ) => Promise<AsyncIterable<StreamEvent<z.input<Reply>>>>,
): StreamRoute<Context, RouteSpec<Names, Query, Empty, Reply, "get", Path, false>> {
  const resource = toResource(spec.params);
  return {
    ...withResource(spec, resource),
    method: "get",
    kind: "sse",
    async open(context, raw) {
      const request = await parseRequest(spec, resource, context, raw);
      const events = await handle(context, { ...request, lastEventId: raw.lastEventId });
      return parseEvents(spec.reply, events);
    },
  };
}

async function* parseEvents(
  reply: Shape,
  events: AsyncIterable<StreamEvent<unknown>>,
): AsyncGenerator<StreamEvent<unknown>, void> {
  for await (const event of events) yield { ...event, data: reply.parse(event.data) };
}

/** Path parameters that are not a resource find nothing but themselves. */
function toResource<Context, Names extends Shape, Found>(
  params: Names | Resource<Context, Names, Found> | undefined,
): Resource<Context, Names, Found> {
  if (params !== undefined && "find" in params) return params;
  const names = {
    names: params ?? Empty,
    errors: [],
    find: async (_context: Context, _by: Operator, it: unknown) => it,
  };
  // True: without a resource both type parameters fell back to their defaults, Empty and what the names are parsed to.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return names as unknown as Resource<Context, Names, Found>;
}

function withResource<Spec extends Pick<RouteSpec, "errors">, Names extends Shape>(
  spec: Spec,
  { names, owner = false, errors }: Resource<never, Names, unknown>,
) {
  return { ...spec, params: names, owner, errors: [...errors, ...(spec.errors ?? [])] };
}

/** Everything is parsed before anything is looked up: a request that is not valid costs no query. */
async function parseRequest<Context, Names extends Shape, Found, Query extends Shape, Body extends Shape>(
  spec: { readonly query?: Query; readonly body?: Body },
  { names, find }: Resource<Context, Names, Found>,
  context: Context,
  raw: RawRequest,
): Promise<RouteRequest<Found, z.output<Query>, z.output<Body>>> {
  const { operator, idempotencyKey, requestId, signal } = raw;
  const named = parsePart(names, raw.params);
  const query = parsePart(spec.query, raw.query);
  const body = parsePart(spec.body, raw.body);
  return { operator, idempotencyKey, requestId, signal, params: await find(context, operator, named), query, body };
}

function parsePart<Part extends Shape>(schema: Part | undefined, input: unknown): z.output<Part> {
  // True: a part is undefined only where its type parameter fell back to its default, Empty.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return parseInput(schema ?? Empty, input ?? {}) as z.output<Part>;
}
