/** Reading a request's body: JSON in UTF-8, at most 1 MiB, not compressed, not deep. Anything else is refused by name. */
import { isUtf8 } from "node:buffer";
import express, { type Request, type Response } from "express";
import { FleetError } from "../domain/errors.ts";

const MOST_BYTES = 1_048_576;
/** Deeper than anything the API knows; schemas and stores then never meet a tree that overflows a stack. */
const DEEPEST = 32;

const parseJson = express.json({
  limit: MOST_BYTES,
  inflate: false,
  strict: true,
  type: () => true,
  verify: (_request, _response, bytes) => {
    if (!isUtf8(bytes)) throw new TypeError("not UTF-8");
  },
});

/** The parsed body, or undefined when there is none. */
export async function readBody(request: Request, response: Response): Promise<unknown> {
  if (!hasBody(request)) return undefined;
  if (!isJson(request.headers["content-type"])) {
    throw new FleetError("unsupported-media-type", "The body must have content-type application/json, in UTF-8.");
  }
  await new Promise<void>((resolve, reject) => {
    parseJson(request, response, (error?: unknown) => {
      if (error === undefined) resolve();
      else reject(error instanceof Error ? error : new TypeError("The body cannot be read."));
    });
  });
  const body: unknown = request.body;
  refuseOddShapes(body);
  return body;
}

function hasBody({ headers }: Request): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function isJson(contentType: string | undefined): boolean {
  return /^application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(contentType ?? "");
}

/** A loop, not a recursion: depth is exactly what cannot be trusted. */
function refuseOddShapes(body: unknown): void {
  const rest: { value: unknown; depth: number }[] = [{ value: body, depth: 1 }];
  for (let at = rest.pop(); at; at = rest.pop()) {
    const { value, depth } = at;
    if (typeof value !== "object" || value === null) continue;
    if (depth > DEEPEST) throw new FleetError("invalid-input", `The body is nested more than ${DEEPEST} levels deep.`);
    if (Object.hasOwn(value, "__proto__")) throw new FleetError("invalid-input", "The body names __proto__.");
    for (const child of Object.values(value)) rest.push({ value: child, depth: depth + 1 });
  }
}
