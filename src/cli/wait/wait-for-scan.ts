/** Requests a scan, and waits until a worker has finished it. */
import { setTimeout as pause } from "node:timers/promises";
import type { Shell } from "../command.ts";

const SCAN_TIMEOUT_MS = 120_000;
const POLL_MS = 200;

/** Polls the document with `read`; the scan is done when the document shows that everything was scanned since the request. */
export async function scanAndRead<Document extends { readonly looked_at: string | null }>(
  { api, world, terminal, json }: Shell,
  request: {
    readonly route: "POST /api/fleet/drift/check" | "POST /api/fleet/science/refresh";
    readonly product?: string | undefined;
  },
  read: () => Promise<Document>,
): Promise<Document> {
  const body = { product: request.product };
  const requested = await api.request(
    request.route,
    { body },
    async () => (await import("../../views/drift.ts")).LookAsked,
  );
  if (!json && terminal.isTty) terminal.note(terminal.paint("dim", "Scanning …"));
  const since = Date.parse(requested.asked_at);
  const deadline = performance.now() + SCAN_TIMEOUT_MS;
  for (;;) {
    const document = await read();
    if (document.looked_at !== null && Date.parse(document.looked_at) >= since) return document;
    if (world.signal.aborted || performance.now() > deadline) break;
    await pause(POLL_MS, undefined, { signal: world.signal }).catch(() => {});
  }
  const { FleetError } = await import("../../domain/errors.ts");
  const seconds = SCAN_TIMEOUT_MS / 1_000;
  throw new FleetError(
    "stack-not-running",
    `No worker finished the scan within ${seconds} s. Is one running? Start one: fleet worker. Without the option that requests a scan, this verb shows the last results.`,
  );
}
