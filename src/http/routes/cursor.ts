/** Where a listing continues: the last row of the previous page, as one opaque string. */
import { z } from "zod";
import { FleetError } from "../../domain/errors.ts";

interface Cursor {
  /** As text, to the microsecond. */
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
    throw new FleetError("invalid-input", "The cursor is not valid. Use nextCursor of the previous page.");
  const [at, id] = parsed.data;
  return { at, id };
}
