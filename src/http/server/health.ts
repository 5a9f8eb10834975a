/** /healthz: the process responds. /readyz: what it depends on responds, too. Both need no token, and say no more than they must. */
import type { Express } from "express";
import { withTimeout } from "../../domain/abort.ts";

/** Resolves with a short description of the state, or rejects. */
export type HealthCheck = () => Promise<string>;

const CHECK_TIMEOUT_MS = 2_000;

export function mountHealth(app: Express, checks: Readonly<Record<string, HealthCheck>>): void {
  app.get("/healthz", (_request, response) => {
    response.set("cache-control", "no-store").json({ status: "ok" });
  });

  app.get("/readyz", async (_request, response) => {
    const results = await Promise.all(Object.entries(checks).map(([name, check]) => runCheck(name, check)));
    const ready = results.every(({ ok }) => ok);
    response
      .status(ready ? 200 : 503)
      .set("cache-control", "no-store")
      .json({
        status: ready ? "ready" : "not-ready",
        checks: Object.fromEntries(results.map(({ name, ok, word }) => [name, { ok, word }])),
      });
  });
}

/** Why a check failed is in the log of the failing part; an address or a version would help an attacker here. */
async function runCheck(name: string, check: HealthCheck): Promise<{ name: string; ok: boolean; word: string }> {
  try {
    return { name, ok: true, word: await withTimeout(CHECK_TIMEOUT_MS, check()) };
  } catch {
    return { name, ok: false, word: "does not answer" };
  }
}
