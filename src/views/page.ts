/** A listing as it leaves the house: some items, and the cursor that leads to the next ones. */
import { z } from "zod";

/** What every listing may be asked. Keyset: a cursor stays right while rows come and go. */
export const PageQuery = z.strictObject({
  cursor: z.string().max(512).optional().meta({ description: "`nextCursor` of the page before" }),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export type PageQuery = z.infer<typeof PageQuery>;

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().meta({ description: "null: this was the last page" }),
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
