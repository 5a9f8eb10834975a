/** Where a listing goes on, newest first: to the microsecond, as the database keeps it. A Date ends at milliseconds. */
import { z } from "zod";
import { sql, type Sql } from "./sql.ts";

export interface PageCursor {
  /** What the place of a row says; a Date is cut to its millisecond, and rows of one may be passed over. */
  readonly at: Date | string;
  readonly id: string;
}

/** What a listing tells of each row besides the row itself. */
export const cursorShape = { place: z.string() };

/** `2026-11-20T12:00:00.123456Z` */
export function cursorColumn(at: Sql): Sql {
  return sql`to_char(${at} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as place`;
}

/** Undefined when `rows` has no more than a page of `limit`. */
export function nextPageCursor(
  rows: readonly { readonly place: string; readonly id: string }[],
  limit: number,
): { readonly at: string; readonly id: string } | undefined {
  const last = rows[limit - 1];
  return rows.length > limit && last ? { at: last.place, id: last.id } : undefined;
}
