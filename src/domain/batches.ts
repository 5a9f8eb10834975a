/** Long lists in batches: side by side within a batch, so that a list of any length takes a bounded number of connections. */

export function batchesOf<Item>(items: readonly Item[], size: number): Item[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, index) => items.slice(index * size, (index + 1) * size));
}

/** The results in the order of the items; no further batch is started once the signal is aborted. */
export async function inBatches<Item, Result>(
  items: readonly Item[],
  size: number,
  work: (item: Item) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const batch of batchesOf(items, size)) {
    if (signal?.aborted) break;
    results.push(...(await Promise.all(batch.map((item) => work(item)))));
  }
  return results;
}
