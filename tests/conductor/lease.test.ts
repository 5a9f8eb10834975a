/** Work under a lease: released when it throws, aborted when another worker took over, renewed in between. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { withLease } from "../../src/conductor/lease.ts";

function counter() {
  const calls = { renewed: 0, released: 0 };
  const release = async () => void (calls.released += 1);
  const renew = async () => {
    calls.renewed += 1;
    return true;
  };
  return { calls, release, renew };
}

test("the lease is renewed while the work runs, and not after it", async () => {
  const { calls, release, renew } = counter();
  const { signal } = new AbortController();

  const result = await withLease({ signal, leaseMs: 30, renew, release }, async (lease) => {
    await sleep(100);
    lease.assertHeld();
    return "done";
  });
  const { renewed } = calls;
  await sleep(50);

  expect(result).toBe("done");
  expect(renewed).toBeGreaterThan(1);
  expect(calls).toEqual({ renewed, released: 0 });
});

test("a claim is released when the work throws", async () => {
  const { calls, release, renew } = counter();
  const { signal } = new AbortController();
  const failing = withLease({ signal, leaseMs: 1_000, renew, release }, () => Promise.reject(new Error("no disk")));

  await expect(failing).rejects.toThrow("no disk");
  expect(calls.released).toBe(1);
});

test("a lease that another worker has taken aborts the work, which then owns no result", async () => {
  const { signal } = new AbortController();
  const work = withLease({ signal, leaseMs: 30, renew: async () => false }, async (lease) => {
    await sleep(5_000, undefined, { signal: lease.signal }).catch(() => undefined);
    lease.assertHeld();
  });

  await expect(work).rejects.toMatchObject({ code: "stale-version" });
});

test("the caller's own signal aborts the work too", async () => {
  const stopping = new AbortController();
  const { renew } = counter();
  const work = withLease({ signal: stopping.signal, leaseMs: 1_000, renew }, async (lease) => {
    stopping.abort(new Error("shutdown"));
    lease.assertHeld();
  });

  await expect(work).rejects.toThrow("shutdown");
});
