/** Reads the body of a request: JSON in UTF-8, at most 1 MiB, not compressed, not deeply nested. Anything else is refused. */
import { isUtf8 } from "node:buffer";
import express, { type Request, type Response } from "express";
import { FleetError } from "../../domain/errors.ts";

const MAX_BYTES = 1_048_576;
/** Deeper than any body of the API, so that no recursion over it can overflow the stack. */
const MAX_DEPTH = 32;

const parseJson = express.json({
  limit: MAX_BYTES,
  inflate: false,
  strict: true,
  type: () => true,
  verify: (_request, _response, bytes) => {
    if (!isUtf8(bytes)) throw new TypeError("not UTF-8");
  },
});

/** The parsed body, or undefined if there is none. */
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
  assertSafeInput("body", body);
  return body;
}

function hasBody({ headers }: Request): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function isJson(contentType: string | undefined): boolean {
  return /^application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(contentType ?? "");
}

/**
 * Applies to bodies, queries and paths alike, so that no schema can forget it: nothing deeply nested, no prototype, no text
 * that PostgreSQL cannot store. It is a loop, because a recursion would itself overflow on deep input.
 */
export function assertSafeInput(part: string, given: unknown): void {
  const stack: { value: unknown; depth: number }[] = [{ value: given, depth: 1 }];
  for (let entry = stack.pop(); entry; entry = stack.pop()) {
    const { value, depth } = entry;
    if (typeof value === "string") assertSafeText(part, value);
    if (typeof value !== "object" || value === null) continue;
    if (depth > MAX_DEPTH)
      throw new FleetError("invalid-input", `The ${part} is nested more than ${MAX_DEPTH} levels deep.`);
    if (Object.hasOwn(value, "__proto__")) throw new FleetError("invalid-input", `The ${part} names __proto__.`);
    for (const [name, child] of Object.entries(value)) {
      assertSafeText(part, name);
      stack.push({ value: child, depth: depth + 1 });
    }
  }
}

function assertSafeText(part: string, text: string): void {
  if (text.includes("\0")) throw new FleetError("invalid-input", `The ${part} contains a NUL character.`);
  if (!text.isWellFormed()) throw new FleetError("invalid-input", `The ${part} contains an unpaired surrogate.`);
}
