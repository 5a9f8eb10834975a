/** Where a listing goes on: the last row of the page before, as one opaque word. */
import { z } from "zod";
import { FleetError } from "../../domain/errors.ts";

interface Cursor {
  /** To the microsecond, as text. */
  readonly at: string;
  readonly id: string;
}

export function encodeCursor({ at, id }: Cursor): string {
  return Buffer.from(`${at} ${id}`).toString("base64url");
}

/** PostgreSQL has no year zero. */
const CursorTime = z.iso.datetime().refine((at) => !at.startsWith("0000-"));
const CursorText = z.tuple([CursorTime, z.uuid()]);

export function decodeCursor(text: string): Cursor {
  const parsed = CursorText.safeParse(Buffer.from(text, "base64url").toString("utf8").split(" "));
  if (!parsed.success)
    throw new FleetError("invalid-input", "The cursor is not one of ours: take nextCursor of the page before.");
  const [at, id] = parsed.data;
  return { at, id };
}
