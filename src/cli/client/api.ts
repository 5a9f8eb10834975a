/** The API as the verbs see it: parsed answers, or the problem as an error. It tries again where that cannot do harm. */
import type { IncomingMessage } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import type { Problem } from "../../views/problem.ts";
import { failure, type Credentials } from "./credentials.ts";
import type { Routes } from "./routes.ts";
import { addressOf, ask, textFrom, type Address, type Wish } from "./http-client.ts";

/** A schema, or how to load it: then it is loaded while the server answers. */
export type Reply<Shape extends z.ZodType> = Shape | (() => Promise<Shape>);

export interface ApiEvent<Data> {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: Data;
}

type JsonRoute = Exclude<keyof Routes, `STREAM ${string}`>;
type StreamRoute = Extract<keyof Routes, `STREAM ${string}`>;
/** A view that cannot read what the document says that the route answers does not compile. */
type Reads<Name extends keyof Routes, Shape extends z.ZodType> =
  Routes[Name]["reply"] extends z.input<Shape> ? Reply<Shape> : never;

export interface Api {
  /** One question to a route of the document, with what it takes. */
  ask<Name extends JsonRoute, Shape extends z.ZodType>(
    route: Name,
    asked: Routes[Name]["ask"],
    reply: Reply<Shape> & Reads<Name, Shape>,
  ): Promise<z.output<Shape>>;
  /** Every event once, over breaks; ends when the server says that it is over. */
  follow<Name extends StreamRoute, Shape extends z.ZodType>(
    route: Name,
    asked: Routes[Name]["ask"],
    reply: Reply<Shape> & Reads<Name, Shape>,
    terms?: StreamTerms,
  ): AsyncGenerator<ApiEvent<z.output<Shape>>, void>;
}

export interface StreamTerms {
  readonly signal?: AbortSignal;
}

/** The server's problem document, thrown. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.name = new.target.name;
    this.problem = problem;
  }
}

const ANSWER_MS = 35_000;
export const TRIES = 5;

export function connectApi(of: Credentials | (() => Promise<Credentials>)): Api {
  const target = async () => (typeof of === "function" ? of() : of);
  return {
    ask: (route, asked, reply) => send(target, questionOf(route, asked), reply),
    async *follow(route, asked, reply, { signal } = {}) {
      const { followStream } = await import("./stream.ts");
      const [credentials, shape] = await Promise.all([target(), loaded(reply)]);
      const url = new URL(questionOf(route, asked).path, credentials.url);
      yield* followStream({ url, headers: headersFor(credentials), signal, problemOf }, shape);
    },
  };
}

/** What a route may be asked with, whichever it is. */
interface Asked extends Address {
  readonly body?: object;
  readonly idempotencyKey?: string | undefined;
}

/** `POST /api/fleet/tasks/{task}/stop` and what is asked, as a request. */
function questionOf(route: string, asked: Asked): Question {
  const [method = "", template = ""] = route.split(" ");
  const { body, idempotencyKey } = asked;
  const again = method !== "POST" || idempotencyKey !== undefined;
  return { method, path: addressOf(template, asked), ...(body ? { body } : {}), idempotencyKey, again };
}

interface Question {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
  readonly idempotencyKey?: string | undefined;
  readonly again: boolean;
}

async function send<Shape extends z.ZodType>(
  target: () => Promise<Credentials>,
  question: Question,
  reply: Reply<Shape>,
): Promise<z.output<Shape>> {
  const credentials = await target();
  const answering = tryToAsk(credentials, question);
  const [answer, shape] = await Promise.all([answering, loaded(reply)]);
  const parsed = shape.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new Error(
    `The server answered ${question.method} ${question.path} in a shape this fleet does not know. Are both the same version?`,
    {
      cause: parsed.error,
    },
  );
}

async function tryToAsk(credentials: Credentials, question: Question): Promise<unknown> {
  for (let tried = 1; ; tried += 1) {
    const outcome = await askOnce(credentials, question).catch((error: unknown) => ({ error, retryAfter: undefined }));
    if ("answer" in outcome) return outcome.answer;
    const { error, retryAfter } = outcome;
    if (!question.again || tried === TRIES || !mayPass(error)) throw error;
    await pause(waitMs(tried, retryAfter));
  }
}

type Outcome = { readonly answer: unknown } | { readonly error: Error; readonly retryAfter: string | undefined };

async function askOnce(credentials: Credentials, { method, path, body, idempotencyKey }: Question): Promise<Outcome> {
  const headers = {
    ...headersFor(credentials),
    ...(body ? { "content-type": "application/json" } : {}),
    ...(idempotencyKey ? { "idempotency-key": idempotencyKey } : {}),
  };
  const wish = { method, headers, body: body && JSON.stringify(body), timeoutMs: ANSWER_MS };
  const response = await reach(new URL(path, credentials.url), wish);
  const text = await textFrom(response);
  const status = response.statusCode ?? 0;
  if (status < 400) return { answer: JSON.parse(text) };
  return { error: await problemOf(status, text), retryAfter: response.headers["retry-after"] };
}

/** Like ask(), but where nobody listens it says so in words. */
export async function reach(url: URL, wish: Wish): Promise<IncomingMessage> {
  try {
    return await ask(url, wish);
  } catch (error) {
    const code = codeOf(error);
    if (code !== "ECONNREFUSED" && code !== "ENOTFOUND") throw error;
    const facts = { url: url.origin };
    throw await failure("stack-not-running", "Fleetwright is not running here. Start it: npx fleet up", facts, error);
  }
}

function headersFor({ token }: Credentials): Record<string, string> {
  return { authorization: `Bearer ${token}`, accept: "application/json" };
}

async function loaded<Shape extends z.ZodType>(reply: Reply<Shape>): Promise<Shape> {
  return typeof reply === "function" ? reply() : reply;
}

async function problemOf(status: number, text: string): Promise<Error> {
  const { Problem } = await import("../../views/problem.ts");
  try {
    return new ProblemError(Problem.parse(JSON.parse(text)));
  } catch (error) {
    return new Error(`The server answered ${status}, and not as Fleetwright does. Is FLEET_URL right?`, {
      cause: error,
    });
  }
}

/** A broken connection, or a server that asks to come back. */
export function mayPass(error: unknown): boolean {
  return codeOf(error) !== undefined || (error instanceof ProblemError && error.problem.status === 503);
}

/** Of a broken connection; undefined for anything else. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return /^(?:E[A-Z]+|UND_ERR_.*)$/.test(error.code) ? error.code : undefined;
}

/** 200 ms, doubling, at most 5 s; or what the server asks for, at most 10 s. */
export function waitMs(tried: number, retryAfter?: string): number {
  const asked = Number(retryAfter);
  if (Number.isFinite(asked) && asked > 0) return Math.min(asked, 10) * 1_000;
  return Math.min(200 * 2 ** tried, 5_000);
}
