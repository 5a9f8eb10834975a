/** One line per request, with its id: changes at info, reads at debug, failures on our side at warn. */
import type { Request, Response } from "express";
import type { Operator } from "../../domain/operator.ts";
import { SAFE_METHODS } from "../route.ts";
import { requestIdOf, type HttpLog } from "./problem.ts";

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
      // Without the query, which may hold a login code or a search text.
      path: request.path.slice(0, MAX_PATH_LENGTH),
      status,
      duration_ms: Math.round(performance.now() - startedAt),
      ...callerOf(response),
    };
    if (typeof status === "number" && status >= 500) log.warn(facts, "answered");
    else if (SAFE_METHODS.has(request.method) || request.method === "OPTIONS") log.debug(facts, "answered");
    else log.info(facts, "answered");
  });
}

interface Caller {
  readonly tenantId: string;
  readonly operatorId: string;
}

/** Who sent the request, once that is known. */
export function setCaller(response: Response, { id, tenantId }: Operator): void {
  const caller: Caller = { tenantId, operatorId: id };
  response.locals["caller"] = caller;
}

function callerOf(response: Response): Caller | undefined {
  const caller: Caller | undefined = response.locals["caller"];
  return caller;
}
