/** Entity tags: an answer that is the same as the one the asker holds costs 304 and no body. */
import { hash } from "node:crypto";
import type { Response } from "express";

/** Weak: two answers with one tag mean the same, and may differ in how long ago something was seen. */
export function computeEtag(json: string): string {
  return `W/"${hash("sha256", json, "base64url").slice(0, 27)}"`;
}

/**
 * Kept by the asker alone, and only to ask again with the tag. `vary` for caches that keep private answers all the same:
 * a browser whose operator changes, a proxy that was set up wrongly.
 */
export function setPrivateCaching(response: Response, tag?: string): void {
  response.set({ "cache-control": "private, no-cache", vary: "authorization" });
  if (tag !== undefined) response.set("etag", tag);
}
