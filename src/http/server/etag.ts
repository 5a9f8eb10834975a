/** Entity tags: a client that has the current response already gets 304 and no body. */
import { hash } from "node:crypto";
import type { Response } from "express";

/** Weak: two responses with the same tag mean the same, and may differ in ages. */
export function computeEtag(json: string): string {
  return `W/"${hash("sha256", json, "base64url").slice(0, 27)}"`;
}

/**
 * Only the client may store the response, and only to revalidate it with the tag. `vary` is for caches that store private
 * responses nevertheless: a browser whose operator changes, or a misconfigured proxy.
 */
export function setPrivateCaching(response: Response, tag?: string): void {
  response.set({ "cache-control": "private, no-cache", vary: "authorization" });
  if (tag !== undefined) response.set("etag", tag);
}
