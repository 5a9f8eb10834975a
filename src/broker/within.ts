/** A bound on waiting: what depends on a store that may be gone is never waited for without end. */

/** Whether the promise settled in time. Its failure counts as settled; nobody is left with an unhandled rejection. */
export async function settlesWithin(ms: number, promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, sleep(ms).then(() => false)]);
}

/** The promise's value, or an error when it takes too long. */
export async function withTimeout<Value>(ms: number, promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {}); // when it loses the race, its own failure comes too late to matter
  const timeout = sleep(ms).then(() => {
    throw new Error(`no answer within ${ms} ms`);
  });
  return Promise.race([promise, timeout]);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
