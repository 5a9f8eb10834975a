/** The one place where an error becomes an HTTP status, a problem document and headers. */
import type { ErrorRequestHandler, Response } from "express";
import { FleetError } from "../../domain/errors.ts";
import type { Problem } from "../../views/problem.ts";

/** The log of the server; a pino logger is one. */
export interface HttpLog {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

const RETRY_AFTER_SECONDS = 2;

export function toProblem(error: unknown, instance?: string): Problem {
  const where = instance === undefined ? {} : { instance };
  if (!(error instanceof FleetError)) {
    return { type: "/problems/internal", title: "Internal error", status: 500, ...where };
  }
  const { title, status } = error.failure;
  const { issues, ...facts } = error.facts;
  return {
    type: `/problems/${error.code}`,
    title,
    status,
    detail: error.message,
    ...where,
    ...(Array.isArray(issues) ? { issues: issues.map(toIssue) } : {}),
    ...(Object.keys(facts).length > 0 ? { facts } : {}),
  };
}

export function requestIdOf(response: Response): string {
  return response.get("x-request-id") ?? "";
}

/** An issue of zod without its input, which may be a secret in the wrong field. */
function toIssue({ path, code, message }: { path: (string | number)[]; code: string; message: string }) {
  return { path, code, message };
}

export function sendProblem(response: Response, error: unknown): void {
  const problem = toProblem(error, `urn:uuid:${requestIdOf(response)}`);
  if (problem.status === 401) response.set("www-authenticate", 'Bearer realm="fleetwright"');
  if (error instanceof FleetError && error.failure.retry && [429, 503].includes(problem.status)) {
    const seconds = error.facts["retryAfterSeconds"];
    response.set("retry-after", String(typeof seconds === "number" ? Math.ceil(seconds) : RETRY_AFTER_SECONDS));
  }
  response.status(problem.status).set("cache-control", "no-store").type("application/problem+json");
  response.send(JSON.stringify(problem));
}

/** Mounted last. An unhandled error is logged with its stack, and the response does not contain it. */
export function problemHandler(log: HttpLog): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    const known = asFleetError(error);
    if (!(known instanceof FleetError)) {
      log.error(
        { err: known, requestId: requestIdOf(response), method: request.method, path: request.path },
        "unhandled error",
      );
    }
    // Too late for a document: the connection is closed, so that a client cannot take half a response for a whole one.
    if (response.headersSent) response.destroy();
    else sendProblem(response, known);
  };
}

const BODY_ERRORS: Readonly<Record<string, () => FleetError>> = {
  "entity.parse.failed": () => new FleetError("malformed-json", "The body is not valid JSON."),
  "entity.verify.failed": () => new FleetError("malformed-json", "The body is not valid UTF-8."),
  "entity.too.large": () => new FleetError("body-too-large", "The body may have at most 1 MiB."),
  "request.aborted": () => new FleetError("malformed-json", "The body ended too early."),
  "request.size.invalid": () => new FleetError("malformed-json", "The body is not as long as its content-length."),
  "encoding.unsupported": () => new FleetError("unsupported-media-type", "The body must not be compressed."),
  "charset.unsupported": () => new FleetError("unsupported-media-type", "The body must be UTF-8."),
};

/** Express and its body parser throw errors of their own for mistakes of the client. */
function asFleetError(error: unknown): unknown {
  if (error instanceof FleetError || !(error instanceof Error)) return error;
  const type = "type" in error && typeof error.type === "string" ? error.type : "";
  const known = BODY_ERRORS[type];
  if (known) return known();
  if (error instanceof URIError) return new FleetError("not-found", "The URL is not well formed.");
  return error;
}
