/** The API client of the verbs: typed by the routes, it returns parsed replies or throws the problem, and retries where that is safe. */
import type { IncomingMessage } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import type { ApiRoute } from "../../http/routes/index.ts";
import type { Problem } from "../../views/problem.ts";
import { fleetError, type Credentials } from "./credentials.ts";
import { buildPath, sendRequest, readText, type UrlParams, type HttpRequest } from "./http-client.ts";

/** A schema, or a function that loads it while the server works. */
export type LazySchema<Shape extends z.ZodType> = Shape | (() => Promise<Shape>);

export interface ApiEvent<Data> {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: Data;
}

/** Every route by its name, such as `GET /api/fleet/tasks/:task`, with its parameters and its reply. */
type Routes = {
  [Route in ApiRoute as `${Uppercase<Route["method"]>} ${Route["path"]}`]: {
    readonly kind: Route["kind"];
    readonly params: Params<Route>;
    readonly reply: z.output<Route["reply"]>;
  };
};
type RouteName<Kind> = {
  [Name in keyof Routes]: Routes[Name]["kind"] extends Kind ? Name : never;
}[keyof Routes];

type Params<Route extends ApiRoute> = Part<"path", InputOf<Route["params"]>, string> &
  Part<"query", InputOf<Route["query"]>, QueryValue> &
  Part<"body", InputOf<Route["body"]>> &
  (true extends Route["idempotent"] ? { readonly idempotencyKey?: string | undefined } : unknown);

type InputOf<Shape> = Shape extends z.ZodType ? z.input<Shape> : never;
/** One part of the request; a part that the URL carries has a `Value` for each field. */
type Part<Key extends string, Input, Value = never> = string extends keyof Input
  ? { readonly [_ in Key]?: never }
  : [Value] extends [never]
    ? { readonly [_ in Key]: Input }
    : Partial<Input> extends Input
      ? { readonly [_ in Key]?: { readonly [Field in keyof Input]: Value } }
      : { readonly [_ in Key]: { readonly [Field in keyof Input]: Value } };
/** A value that is written into the URL as text. */
type QueryValue = string | number | boolean | undefined;

/** Makes a schema that cannot parse the reply of its route a compile error. */
type CompatibleSchema<Name extends keyof Routes, Shape extends z.ZodType> =
  Routes[Name]["reply"] extends z.input<Shape> ? LazySchema<Shape> : never;

export interface Api {
  /** Sends one request to a route with its parameters. */
  request<Name extends RouteName<"json">, Shape extends z.ZodType>(
    route: Name,
    params: Routes[Name]["params"],
    reply: LazySchema<Shape> & CompatibleSchema<Name, Shape>,
  ): Promise<z.output<Shape>>;
  /** Yields every event once, across reconnects; it ends when the server ends the stream. */
  follow<Name extends RouteName<"sse">, Shape extends z.ZodType>(
    route: Name,
    params: Routes[Name]["params"],
    reply: LazySchema<Shape> & CompatibleSchema<Name, Shape>,
    options?: StreamOptions,
  ): AsyncGenerator<ApiEvent<z.output<Shape>>, void>;
}

export interface StreamOptions {
  readonly signal?: AbortSignal;
}

/** Thrown when the server replies with a problem document. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.name = new.target.name;
    this.problem = problem;
  }
}

const RESPONSE_TIMEOUT_MS = 35_000;
export const MAX_TRIES = 5;

export function connectApi(source: Credentials | (() => Promise<Credentials>)): Api {
  const target = async () => (typeof source === "function" ? source() : source);
  return {
    request: (route, params, reply) => send(target, buildRequest(route, params), reply),
    async *follow(route, params, reply, { signal } = {}) {
      const { followStream } = await import("./stream.ts");
      const [credentials, shape] = await Promise.all([target(), loadSchema(reply)]);
      const url = new URL(buildRequest(route, params).path, credentials.url);
      yield* followStream({ url, headers: headersFor(credentials), signal, parseProblem }, shape);
    },
  };
}

/** The parameters that any route may have. */
interface RequestParams extends UrlParams {
  readonly body?: object;
  readonly idempotencyKey?: string | undefined;
}

/** Turns `POST /api/fleet/tasks/:task/stop` and its parameters into a request. */
function buildRequest(route: string, params: RequestParams): ApiRequest {
  const [method = "", template = ""] = route.split(" ");
  const { body, idempotencyKey } = params;
  const retryable = method !== "POST" || idempotencyKey !== undefined;
  return { method, path: buildPath(template, params), ...(body ? { body } : {}), idempotencyKey, retryable };
}

interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
  readonly idempotencyKey?: string | undefined;
  readonly retryable: boolean;
}

async function send<Shape extends z.ZodType>(
  target: () => Promise<Credentials>,
  request: ApiRequest,
  reply: LazySchema<Shape>,
): Promise<z.output<Shape>> {
  const credentials = await target();
  const answering = sendWithRetries(credentials, request);
  const [answer, shape] = await Promise.all([answering, loadSchema(reply)]);
  const parsed = shape.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new Error(
    `The reply to ${request.method} ${request.path} has an unknown format. Do the server and the CLI have the same version?`,
    { cause: parsed.error },
  );
}

async function sendWithRetries(credentials: Credentials, request: ApiRequest): Promise<unknown> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await sendOnce(credentials, request).catch((error: unknown) => ({ error, retryAfter: undefined }));
    if ("answer" in outcome) return outcome.answer;
    const { error, retryAfter } = outcome;
    if (!request.retryable || attempt === MAX_TRIES || !isTransient(error)) throw error;
    await pause(retryDelayMs(attempt, retryAfter));
  }
}

type SendOutcome = { readonly answer: unknown } | { readonly error: Error; readonly retryAfter: string | undefined };

async function sendOnce(
  credentials: Credentials,
  { method, path, body, idempotencyKey }: ApiRequest,
): Promise<SendOutcome> {
  const headers = {
    ...headersFor(credentials),
    ...(body ? { "content-type": "application/json" } : {}),
    ...(idempotencyKey ? { "idempotency-key": idempotencyKey } : {}),
  };
  const request = { method, headers, body: body && JSON.stringify(body), timeoutMs: RESPONSE_TIMEOUT_MS };
  const response = await sendToServer(new URL(path, credentials.url), request);
  const text = await readText(response);
  const status = response.statusCode ?? 0;
  if (status < 400) return { answer: JSON.parse(text) };
  return { error: await parseProblem(status, text), retryAfter: response.headers["retry-after"] };
}

/** Like sendRequest(), but reports a server that is not running with its own error code. */
export async function sendToServer(url: URL, request: HttpRequest): Promise<IncomingMessage> {
  try {
    return await sendRequest(url, request);
  } catch (error) {
    const code = networkErrorCode(error);
    if (code !== "ECONNREFUSED" && code !== "ENOTFOUND") throw error;
    const facts = { url: url.origin };
    throw await fleetError(
      "stack-not-running",
      "Fleetwright is not running on this machine. Start it: npx fleet up",
      facts,
      error,
    );
  }
}

function headersFor({ token }: Credentials): Record<string, string> {
  return { authorization: `Bearer ${token}`, accept: "application/json" };
}

async function loadSchema<Shape extends z.ZodType>(reply: LazySchema<Shape>): Promise<Shape> {
  return typeof reply === "function" ? reply() : reply;
}

async function parseProblem(status: number, text: string): Promise<Error> {
  const { Problem } = await import("../../views/problem.ts");
  try {
    return new ProblemError(Problem.parse(JSON.parse(text)));
  } catch (error) {
    return new Error(`The server answered ${status} in a format that is not Fleetwright's. Is FLEET_URL correct?`, {
      cause: error,
    });
  }
}

/** True for a broken connection, and for a server that is briefly unavailable. */
export function isTransient(error: unknown): boolean {
  return networkErrorCode(error) !== undefined || (error instanceof ProblemError && error.problem.status === 503);
}

/** The error code of a broken connection; undefined for any other error. */
function networkErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return /^(?:E[A-Z]+|UND_ERR_.*)$/.test(error.code) ? error.code : undefined;
}

/** The delay is 200 ms, doubling up to 5 s; a Retry-After header replaces it, up to 10 s. */
export function retryDelayMs(attempt: number, retryAfter?: string): number {
  const retryAfterSeconds = Number(retryAfter);
  if (Number.isFinite(retryAfterSeconds) && retryAfterSeconds > 0) return Math.min(retryAfterSeconds, 10) * 1_000;
  return Math.min(200 * 2 ** attempt, 5_000);
}
