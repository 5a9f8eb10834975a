/** Protects pages with a cookie: the host against DNS rebinding, the origin against cross-site writes. Bearer tokens need neither. */
import type { Request } from "express";
import { FleetError } from "../../domain/errors.ts";
import { SAFE_METHODS } from "../route.ts";

const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Throws unless the request comes from our own pages or from the address bar. */
export function assertSameOrigin(request: Request, publicUrl: string): void {
  const host = request.headers.host ?? "";
  if (!isOwnHost(host, publicUrl)) throw crossSiteError("This server does not answer to that host name.");

  const site = request.get("sec-fetch-site");
  const isSafe = SAFE_METHODS.has(request.method);
  // A link on another site may open a page, but not load parts of one or change anything.
  const isNavigation = isSafe && request.get("sec-fetch-mode") === "navigate";
  if (site !== undefined && site !== "same-origin" && site !== "none" && !isNavigation) {
    throw crossSiteError("Other sites may not send this request.");
  }
  if (!isSafe && parseHost(request.headers.origin) !== host)
    throw crossSiteError("A write must come from our own pages.");
}

function isOwnHost(host: string, publicUrl: string): boolean {
  const name = parseHost(`http://${host}`, "hostname");
  return name !== undefined && (LOOPBACK.has(name) || name === parseHost(publicUrl, "hostname"));
}

function parseHost(url: string | undefined, part: "host" | "hostname" = "host"): string | undefined {
  return url !== undefined && URL.canParse(url) ? new URL(url)[part] : undefined;
}

function crossSiteError(why: string): FleetError {
  return new FleetError("cross-site", why);
}
