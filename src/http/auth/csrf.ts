/** A change by cookie brings a second word, which only our own pages can read: bound to the session, kept nowhere. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Request, Response } from "express";
import { FleetError } from "../../domain/errors.ts";

/** The names that the queue board's own client sends by itself (axios' defaults). */
const COOKIE = "XSRF-TOKEN";
const HEADER = "x-xsrf-token";

/** Code that cannot read the session, as no script can, cannot make it; every web process makes the same. */
export function deriveCsrfToken(session: string): string {
  return createHmac("sha256", session).update("fleetwright csrf").digest("base64url");
}

/** For scripts of pages below `path`, which have to hand it in with every change. */
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

/** `handed`: what a form says; a script says it in a header. */
export function assertCsrfToken(request: Request, session: string, provided: unknown = request.get(HEADER)): void {
  const actual = Buffer.from(typeof provided === "string" ? provided : "");
  const expected = Buffer.from(deriveCsrfToken(session));
  if (actual.length === expected.length && timingSafeEqual(actual, expected)) return;
  throw new FleetError("cross-site", "A change must come from our own pages: load the page again.");
}
