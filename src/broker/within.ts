/** A bound on waiting: what depends on a store that may be gone is never waited for without end. */

/** Whether the promise settled in time. Its failure counts as settled; nobody is left with an unhandled rejection. */
export async function settlesWithin(ms: number, promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, after(ms).then(() => false)]);
}

/** The promise's value, or an error when it takes too long. */
export async function orFailAfter<Value>(ms: number, promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {}); // when it loses the race, its own failure comes too late to matter
  const tooLong = after(ms).then(() => {
    throw new Error(`no answer within ${ms} ms`);
  });
  return Promise.race([promise, tooLong]);
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
