/** A page of a listing: some items, and the cursor of the next page. */
import { z } from "zod";

/** The query of every listing. Pagination is by keyset, so a cursor stays valid while rows are added and removed. */
export const PageQuery = z.strictObject({
  cursor: z.string().max(512).optional().meta({ description: "`nextCursor` of the previous page" }),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export type PageQuery = z.infer<typeof PageQuery>;

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().meta({ description: "null: this is the last page" }),
  });
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

export function viewPage<Row, View>(
  page: Page<Row>,
  view: (row: Row) => View,
): { items: View[]; nextCursor: string | null } {
  return { items: page.items.map((row) => view(row)), nextCursor: page.nextCursor };
}
