/** Asking for a look, and waiting until a worker has looked. */
import { setTimeout as pause } from "node:timers/promises";
import type { Shell } from "../command.ts";

const SCAN_TIMEOUT_MS = 120_000;
const POLL_MS = 200;

/** `read` gets the document again and again; the look is over when it says that everything was looked at since. */
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
  if (!json && terminal.isTty) terminal.note(terminal.paint("dim", "Looking …"));
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
    `Nobody has looked within ${seconds} s. Is a worker running? Start one: fleet worker. What is known: the same without asking for a look.`,
  );
}
