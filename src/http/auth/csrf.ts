/** A write with a cookie needs a CSRF token, which only our own pages can read: derived from the session, stored nowhere. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Request, Response } from "express";
import { FleetError } from "../../domain/errors.ts";

/** The names that the client of the queue board uses by itself (the defaults of axios). */
const COOKIE = "XSRF-TOKEN";
const HEADER = "x-xsrf-token";

/** Without the session, which no script can read, it cannot be derived; every web process derives the same. */
export function deriveCsrfToken(session: string): string {
  return createHmac("sha256", session).update("fleetwright csrf").digest("base64url");
}

/** For scripts of pages below `path`, which have to send it with every write. */
export function setCsrfCookie(
  request: Request,
  response: Response,
  { session, path, secure }: { readonly session: string; readonly path: string; readonly secure: boolean },
): void {
  const token = deriveCsrfToken(session);
  const current = (request.headers.cookie ?? "").split(";").find((pair) => pair.trim().startsWith(`${COOKIE}=`));
  if (current?.trim() === `${COOKIE}=${token}`) return;
  response.cookie(COOKIE, token, { sameSite: "strict", secure, path });
}

/** `handed` is the value from a form; a script sends it in a header. */
export function assertCsrfToken(request: Request, session: string, provided: unknown = request.get(HEADER)): void {
  const actual = Buffer.from(typeof provided === "string" ? provided : "");
  const expected = Buffer.from(deriveCsrfToken(session));
  if (actual.length === expected.length && timingSafeEqual(actual, expected)) return;
  throw new FleetError("cross-site", "A write must come from our own pages. Reload the page.");
}
