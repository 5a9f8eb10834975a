/** Keyset pagination, newest first. A cursor has the database's microseconds, because a Date has only milliseconds. */
import { z } from "zod";
import { sql, type Sql } from "./sql.ts";

export interface PageCursor {
  /** The `place` of a row. A Date is cut to its millisecond, so that rows of the same millisecond may be skipped. */
  readonly at: Date | string;
  readonly id: string;
}

/** What a listing adds to each row. */
export const cursorShape = { place: z.string() };

/** Formats the cursor column, like `2026-11-20T12:00:00.123456Z`. */
export function cursorColumn(at: Sql): Sql {
  return sql`to_char(${at} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as place`;
}

/** Returns undefined when `rows` has no more than a page of `limit`. */
export function nextPageCursor(
  rows: readonly { readonly place: string; readonly id: string }[],
  limit: number,
): { readonly at: string; readonly id: string } | undefined {
  const last = rows[limit - 1];
  return rows.length > limit && last ? { at: last.place, id: last.id } : undefined;
}
