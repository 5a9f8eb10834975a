/** Reading long tables row by row, page by page, so that a log of any length does not fill the memory. */

/** `readPage` returns the rows after `last`, at most `size`; a shorter page is the end. */
export async function* readRows<Row>(
  size: number,
  readPage: (last: Row | undefined) => Promise<readonly Row[]>,
): AsyncGenerator<Row, void> {
  let last: Row | undefined;
  for (;;) {
    const page = await readPage(last);
    yield* page;
    if (page.length < size) return;
    last = page.at(-1);
  }
}
