/** Waits for a condition by polling, never by sleeping for a guessed time. */
export async function eventually<Value>(check: () => Promise<Value | undefined>, withinMs = 10_000): Promise<Value> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = await check();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`Still not so after ${withinMs} ms: ${check.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
