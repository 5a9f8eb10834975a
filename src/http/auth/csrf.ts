/** A change by cookie brings a second word, which only our own pages can read: bound to the session, kept nowhere. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Request, Response } from "express";
import { FleetError } from "../../domain/errors.ts";

/** The names that the queue board's own client sends by itself (axios' defaults). */
const COOKIE = "XSRF-TOKEN";
const HEADER = "x-xsrf-token";

/** Whoever cannot read the session, which no script can, cannot make it; every web process makes the same. */
export function csrfTokenOf(session: string): string {
  return createHmac("sha256", session).update("fleetwright csrf").digest("base64url");
}

/** For scripts of pages below `path`, which have to hand it in with every change. */
export function giveCsrfToken(
  request: Request,
  response: Response,
  { session, path, secure }: { readonly session: string; readonly path: string; readonly secure: boolean },
): void {
  const token = csrfTokenOf(session);
  const given = (request.headers.cookie ?? "").split(";").find((pair) => pair.trim().startsWith(`${COOKIE}=`));
  if (given?.trim() === `${COOKIE}=${token}`) return;
  response.cookie(COOKIE, token, { sameSite: "strict", secure, path });
}

/** `handed`: what a form says; a script says it in a header. */
export function refuseForged(request: Request, session: string, handed: unknown = request.get(HEADER)): void {
  const said = Buffer.from(typeof handed === "string" ? handed : "");
  const meant = Buffer.from(csrfTokenOf(session));
  if (said.length === meant.length && timingSafeEqual(said, meant)) return;
  throw new FleetError("cross-site", "A change must come from our own pages: load the page again.");
}
