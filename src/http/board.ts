/** Bull Board at /queues: for role admin, and read-only for role queue-operator. It shows ids, never payloads. */
import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import type { Queue } from "bullmq";
import type { Express, Request, RequestHandler } from "express";
import { FleetError } from "../domain/errors.ts";
import type { Operator } from "../domain/operator.ts";
import { refuseStrangers } from "./guard.ts";
import { bearerOf, type Identified, type Identify } from "./identity.ts";
import { sessionOf } from "./session.ts";

export interface BoardTerms {
  readonly identify: Identify;
  /** Asked at each visit, so that the queue of a new host appears. */
  readonly queues: () => readonly Queue[];
  readonly publicUrl: string;
}

const PATH = "/queues";

/** The board's own page holds one inline style; scripts come from here only, and its link to a font server is refused. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

export function mountBoard(app: Express, { identify, queues, publicUrl }: BoardTerms): void {
  const full = openBoard(queues, false);
  const readOnly = openBoard(queues, true);

  app.use(PATH, (request, response, next) => enter(request, response, next));

  async function enter(...[request, response, next]: Parameters<RequestHandler>): Promise<void> {
    response.set({ "content-security-policy": CSP, "cache-control": "no-store" });
    try {
      const { operator } = await visitor(request, identify, publicUrl);
      await boardFor(operator)(request, response, next);
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "unauthenticated" || !isPage(request)) throw error;
      response.redirect(303, `/login?next=${PATH}`);
    }
  }

  function boardFor({ role }: Operator): RequestHandler {
    if (role === "admin") return full;
    if (role === "queue-operator") return readOnly;
    throw new FleetError("tier-too-low", "The queue board needs role admin, or queue-operator to look only.");
  }
}

/** A script brings its token, a browser its cookie; only a cookie has to be guarded against other sites. */
async function visitor(request: Request, identify: Identify, publicUrl: string): Promise<Identified> {
  const token = bearerOf(request.headers.authorization);
  if (token !== undefined) return identify(token);
  refuseStrangers(request, publicUrl);
  return sessionOf(request, identify);
}

function isPage(request: Request): boolean {
  return request.method === "GET" && request.accepts(["json", "html"]) === "html";
}

function openBoard(queues: () => readonly Queue[], readOnlyMode: boolean): RequestHandler {
  const serverAdapter = new ExpressAdapter().setBasePath(PATH);
  const adapters = new Map<Queue, BullMQAdapter>();
  const board = createBullBoard({
    queues: [],
    serverAdapter,
    options: { uiConfig: { boardTitle: readOnlyMode ? "Fleetwright queues (read-only)" : "Fleetwright queues" } },
  });
  const router: RequestHandler = serverAdapter.getRouter();

  return (request, response, next) => {
    const current = queues();
    if (current.length !== adapters.size || current.some((queue) => !adapters.has(queue))) {
      const known = new Map(adapters);
      adapters.clear();
      for (const queue of current) adapters.set(queue, known.get(queue) ?? adapterOf(queue, readOnlyMode));
      board.replaceQueues([...adapters.values()]);
    }
    return router(request, response, next);
  };
}

function adapterOf(queue: Queue, readOnlyMode: boolean): BullMQAdapter {
  const adapter = new BullMQAdapter(queue, { readOnlyMode, allowRetries: !readOnlyMode });
  adapter.setFormatter("data", idsOf);
  adapter.setFormatter("returnValue", () => "hidden");
  return adapter;
}

/** Jobs carry ids only; should one ever carry more, the board does not show it. */
function idsOf(data: unknown): unknown {
  if (typeof data !== "object" || data === null) return "hidden";
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [
      key,
      /(?:Id|epoch|attempt|shard|round)$/i.test(key) ? short(value) : "hidden",
    ]),
  );
}

function short(value: unknown): unknown {
  return typeof value === "string" ? value.slice(0, 128) : typeof value === "number" ? value : "hidden";
}
