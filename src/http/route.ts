/** What a route is: data, from which the server mounts it and the OpenAPI document describes it. */
import { z } from "zod";
import { parseInput, type FailureCode } from "../domain/errors.ts";
import type { Operator, Tier } from "../domain/operator.ts";

type Shape = z.ZodType;

/** Methods that change nothing. */
export const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/** How a route is described. What is left out is empty: unknown parameters and fields are refused, not ignored. */
export interface RouteSpec<
  Params extends Shape = Shape,
  Query extends Shape = Shape,
  Body extends Shape = Shape,
  Reply extends Shape = Shape,
> {
  readonly method: "get" | "post" | "put" | "delete";
  /** `/api/fleet/tasks/:id`; every `:name` is a key of `params`. */
  readonly path: `/${string}`;
  readonly tier: Tier;
  /** Only the owner of what the path names may do it; the use case holds it, the document says it. */
  readonly owner?: boolean;
  /** It is done once per `Idempotency-Key`, however often it is asked. */
  readonly idempotent?: boolean;
  readonly summary: string;
  readonly description?: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  /** What leaves is exactly this: every reply is parsed, so a field the schema does not name stays inside. */
  readonly reply: Reply;
  /**
   * What of the reply decides whether it has changed, where that is not all of it: a time of asking, or an age, would make
   * every answer a new one.
   */
  etagOf?(this: void, reply: z.output<Reply>): unknown;
  /** The statuses of success, with their meaning, where they are not 200 alone: `{ 201: "a new task" }`. */
  readonly statuses?: Readonly<Record<number, string>>;
  /** What it may refuse with, besides what every route may. */
  readonly errors?: readonly FailureCode[];
}

/** What a handler is handed: already identified, already parsed. */
export interface RouteRequest<Params, Query, Body> {
  readonly operator: Operator;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly idempotencyKey: string | undefined;
  readonly requestId: string;
  /** Aborted when the asker has gone, or the server closes. */
  readonly signal: AbortSignal;
}

export interface RouteResponse<Body> {
  readonly status?: number;
  readonly body: Body;
  readonly headers?: Readonly<Record<string, string>>;
}

/** As it leaves the route: parsed, and what of it counts as a change. */
export interface ParsedResponse extends RouteResponse<unknown> {
  readonly lasting?: unknown;
}

/** One server-sent event; `id` is what a reader resumes from. */
export interface StreamEvent<Data> {
  readonly id?: string;
  readonly event?: string;
  readonly data: Data;
}

/** Before parsing: what the server hands in. */
export interface RawRequest extends Omit<RouteRequest<unknown, unknown, unknown>, "params" | "query" | "body"> {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly lastEventId: string | undefined;
}

export interface JsonRoute<Context> extends RouteSpec {
  readonly kind: "json";
  readonly answer: (context: Context, ask: RawRequest) => Promise<ParsedResponse>;
}

export interface StreamRoute<Context> extends RouteSpec {
  readonly kind: "sse";
  /** Parses at once, so that a wrong question is a problem document and not a broken stream. */
  readonly open: (context: Context, ask: RawRequest) => Promise<AsyncIterable<StreamEvent<unknown>>>;
}

export type Route<Context> = JsonRoute<Context> | StreamRoute<Context>;

const Empty = z.strictObject({});
type Empty = typeof Empty;

/** A route that answers with JSON. `Context` is what the handler's first parameter says it is (a Fleet). */
export function defineRoute<
  Context,
  Reply extends Shape,
  Params extends Shape = Empty,
  Query extends Shape = Empty,
  Body extends Shape = Empty,
>(
  spec: RouteSpec<Params, Query, Body, Reply>,
  handle: (
    context: Context,
    ask: RouteRequest<z.output<Params>, z.output<Query>, z.output<Body>>,
  ) => Promise<RouteResponse<z.input<Reply>>>,
): JsonRoute<Context> {
  return {
    ...spec,
    kind: "json",
    async answer(context, raw) {
      const { body, ...rest } = await handle(context, parseRequest(spec, raw));
      const reply = spec.reply.parse(body);
      return { ...rest, body: reply, ...(spec.etagOf ? { lasting: spec.etagOf(reply) } : {}) };
    },
  };
}

/** A route that streams server-sent events; `reply` is the shape of each event's data. */
export function defineStream<Context, Reply extends Shape, Params extends Shape = Empty, Query extends Shape = Empty>(
  spec: Omit<RouteSpec<Params, Query, Empty, Reply>, "method" | "body">,
  handle: (
    context: Context,
    ask: RouteRequest<z.output<Params>, z.output<Query>, unknown> & { readonly lastEventId: string | undefined },
  ) => Promise<AsyncIterable<StreamEvent<z.input<Reply>>>>,
): StreamRoute<Context> {
  return {
    ...spec,
    method: "get",
    kind: "sse",
    async open(context, raw) {
      const events = await handle(context, { ...parseRequest(spec, raw), lastEventId: raw.lastEventId });
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

/** The defaults above are `Nothing`, so what is left out of a face is read as `Nothing` and typed as it. */
function parseRequest<Params extends Shape, Query extends Shape, Body extends Shape>(
  spec: Pick<RouteSpec<Params, Query, Body>, "params" | "query" | "body">,
  raw: RawRequest,
): RouteRequest<z.output<Params>, z.output<Query>, z.output<Body>> {
  const { operator, idempotencyKey, requestId, signal } = raw;
  return {
    operator,
    idempotencyKey,
    requestId,
    signal,
    params: parsePart(spec.params, raw.params),
    query: parsePart(spec.query, raw.query),
    body: parsePart(spec.body, raw.body),
  };
}

function parsePart<Part extends Shape>(shape: Part | undefined, input: unknown): z.output<Part> {
  // True: a part is undefined only where its type parameter fell back to its default, Nothing.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return parseInput(shape ?? Empty, input ?? {}) as z.output<Part>;
}
