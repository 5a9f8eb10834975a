/** Every failure of the API, in one place: which error becomes which status, document and header. */
import type { ErrorRequestHandler, Response } from "express";
import { FleetError } from "../../domain/errors.ts";
import type { Problem } from "../../views/problem.ts";

/** What the server tells its log; a pino logger is one. */
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

/** zod's issue without the input it complains about: a wrong value may be a secret in the wrong field. */
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

/** The last one mounted. A bug is logged with its stack and answered without. */
export function problemHandler(log: HttpLog): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    const known = asFleetError(error);
    if (!(known instanceof FleetError)) {
      log.error(
        { err: known, requestId: requestIdOf(response), method: request.method, path: request.path },
        "a request met a bug",
      );
    }
    // Too late for a document: the connection is cut, so that half an answer is not taken for a whole one.
    if (response.headersSent) response.destroy();
    else sendProblem(response, known);
  };
}

const BODY_ERRORS: Readonly<Record<string, () => FleetError>> = {
  "entity.parse.failed": () => new FleetError("malformed-json", "The body is not valid JSON."),
  "entity.verify.failed": () => new FleetError("malformed-json", "The body is not valid UTF-8."),
  "entity.too.large": () => new FleetError("body-too-large", "The body may have at most 1 MiB."),
  "request.aborted": () => new FleetError("malformed-json", "The body ended too early."),
  "request.size.invalid": () => new FleetError("malformed-json", "The body is not as long as it was said to be."),
  "encoding.unsupported": () => new FleetError("unsupported-media-type", "The body must not be compressed."),
  "charset.unsupported": () => new FleetError("unsupported-media-type", "The body must be UTF-8."),
};

/** Express and its body parser have errors of their own for what the asker did wrong. */
function asFleetError(error: unknown): unknown {
  if (error instanceof FleetError || !(error instanceof Error)) return error;
  const type = "type" in error && typeof error.type === "string" ? error.type : "";
  const known = BODY_ERRORS[type];
  if (known) return known();
  if (error instanceof URIError) return new FleetError("not-found", "The address is not well formed.");
  return error;
}
