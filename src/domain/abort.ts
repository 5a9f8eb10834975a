/** Bounds on waiting: a promise raced with an abort signal or a time. The work itself goes on, and its late result is ignored. */

/** The work's result, or the signal's reason as an error when the signal aborts first. Leaves no listener behind. */
export async function withSignal<Value>(signal: AbortSignal, work: Promise<Value>): Promise<Value> {
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort);
  });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    if (onAbort) signal.removeEventListener("abort", onAbort);
  }
}

/** The work's result, or an error when it takes longer than that. */
export async function withTimeout<Value>(ms: number, work: Promise<Value>): Promise<Value> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(new Error(`no answer within ${ms} ms`)), ms);
  try {
    return await withSignal(timeout.signal, work);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether the work settled within that time. Its failure counts as settled. */
export async function settlesWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  const settled = work.then(
    () => true,
    () => true,
  );
  return withTimeout(ms, settled).catch(() => false);
}
