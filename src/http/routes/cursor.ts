/** Where a listing goes on: the last row of the page before, as one opaque word. */
import { z } from "zod";
import { FleetError } from "../../domain/errors.ts";

interface Cursor {
  readonly createdAt: Date;
  readonly id: string;
}

export function writeCursor({ createdAt, id }: Cursor): string {
  return Buffer.from(`${createdAt.toISOString()} ${id}`).toString("base64url");
}

const CursorText = z.tuple([z.iso.datetime().transform((text) => new Date(text)), z.uuid()]);

export function readCursor(text: string): Cursor {
  const parsed = CursorText.safeParse(Buffer.from(text, "base64url").toString("utf8").split(" "));
  if (!parsed.success)
    throw new FleetError("invalid-input", "The cursor is not one of ours: take nextCursor of the page before.");
  const [createdAt, id] = parsed.data;
  return { createdAt, id };
}
