/** One log line per request, with its id: writes at info, reads at debug, failures of the server at warn. */
import type { Request, Response } from "express";
import type { Operator } from "../../domain/operator.ts";
import { requestIdOf, type HttpLog } from "./problem.ts";

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
const MAX_PATH_LENGTH = 200;

export function logWhenDone(log: HttpLog, request: Request, response: Response): void {
  const startedAt = performance.now();
  response.once("close", () => {
    const status = response.writableFinished ? response.statusCode : "broken off";
    const facts = {
      component: "http",
      event: "request",
      requestId: requestIdOf(response),
      method: request.method,
      // Without the query, which may contain login codes and search texts.
      path: request.path.slice(0, MAX_PATH_LENGTH),
      status,
      duration_ms: Math.round(performance.now() - startedAt),
      ...callers.get(response),
    };
    if (typeof status === "number" && status >= 500) log.warn(facts, "answered");
    else if (SAFE_METHODS.has(request.method)) log.debug(facts, "answered");
    else log.info(facts, "answered");
  });
}

const callers = new WeakMap<Response, { readonly tenantId: string; readonly operatorId: string }>();

/** The operator of the request, once the token is verified. */
export function setCaller(response: Response, { id, tenantId }: Operator): void {
  callers.set(response, { tenantId, operatorId: id });
}
