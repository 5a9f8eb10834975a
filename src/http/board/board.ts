/** Bull Board at /queues: for role admin, and read-only for role queue-operator. It shows ids, never payloads. */
import { createBullBoard } from "@bull-board/api";
import type { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { AfterHook } from "@bull-board/api/typings/app";
import { ExpressAdapter } from "@bull-board/express";
import type { Queue } from "bullmq";
import type { Express, Request, RequestHandler, Response } from "express";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import type { Task } from "../../domain/task/task.ts";
import { boardQueue } from "./board-queue.ts";
import { setCsrfCookie, assertCsrfToken } from "../auth/csrf.ts";
import { assertSameOrigin } from "../auth/origin-guard.ts";
import { parseBearerToken, type Identity, type Identify } from "../auth/identity.ts";
import { html, sendPage } from "../pages/page.ts";
import { readSessionCookie } from "../auth/session.ts";
import { SAFE_METHODS } from "../route.ts";

export interface BoardOptions {
  readonly identify: Identify;
  /** Read on every request, so that the queue of a new host appears. */
  readonly queues: () => readonly Queue[];
  readonly publicUrl: string;
  /** The task that a job is about, as far as this operator may see it. Throws TaskNotFoundError. */
  readonly findTask: (by: Operator, id: string) => Promise<Task>;
}

const PATH = "/queues";
const TASKS = `${PATH}/tasks`;

/** The page of the board has one inline style; scripts come from this server only, and its link to a font server is blocked. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

export function mountBoard(app: Express, { identify, queues, publicUrl, findTask }: BoardOptions): void {
  const full = openBoard(queues, { readOnlyMode: false });
  const readOnly = openBoard(queues, { readOnlyMode: true });

  app.use(PATH, (request, response, next) => handle(request, response, next));

  async function handle(...[request, response, next]: Parameters<RequestHandler>): Promise<void> {
    response.set({ "content-security-policy": CSP, "cache-control": "no-store" });
    try {
      const { operator } = await identifyVisitor(request, response, { identify, publicUrl });
      const board = boardFor(operator, request.method);
      const taskId = SAFE_METHODS.has(request.method) && /^\/tasks\/(?<id>[\w-]+)$/.exec(request.path)?.groups?.["id"];
      if (taskId) sendTask(response, await findTask(operator, taskId));
      else await board(request, response, next);
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "unauthenticated" || !wantsHtml(request)) throw error;
      response.redirect(303, `/login?next=${PATH}`);
    }
  }

  function boardFor({ role }: Operator, method: string): RequestHandler {
    if (role === "admin") return full;
    if (role !== "queue-operator") {
      throw new FleetError("tier-too-low", "The queue board needs role admin, or queue-operator for read-only access.");
    }
    if (SAFE_METHODS.has(method)) return readOnly;
    throw new FleetError("tier-too-low", "Role queue-operator may read the queues; changing them needs role admin.");
  }
}

/** The page that a job links to: the state of its task, and how to see more. */
function sendTask(response: Response, task: Task): void {
  const rows = [
    ["Task", task.id],
    ["State", task.condition === "ok" ? task.status : `${task.status}, ${task.condition}`],
    ["Tenant, operator", `${task.tenantId}, ${task.operatorId}`],
    ["Try", `${task.attempt + 1}`],
    ["Epoch", String(task.epoch)],
    ["Host", task.host ?? "none yet"],
    ["Waits for", task.waitingFor ?? "nothing"],
  ].map(
    ([name = "", value = ""]) =>
      html`<tr>
        <th>${name}</th>
        <td>${value}</td>
      </tr>`,
  );
  const body = html`<h1>${task.title}</h1>
    <table>
      ${rows}
    </table>
    <p>Details: <code>fleet show ${task.id}</code>, <code>fleet logs ${task.id}</code></p>
    <p><a href="${PATH}">Queues</a></p>`;
  sendPage(response, "Task", body);
}

/** A script sends a token, a browser a cookie; only a cookie needs protection against other sites. */
async function identifyVisitor(
  request: Request,
  response: Response,
  { identify, publicUrl }: Pick<BoardOptions, "identify" | "publicUrl">,
): Promise<Identity> {
  const token = parseBearerToken(request.headers.authorization);
  if (token !== undefined) return identify(token);
  assertSameOrigin(request, publicUrl);
  const session = readSessionCookie(request);
  const identified = await identify(session, "session");
  if (SAFE_METHODS.has(request.method)) {
    setCsrfCookie(request, response, { session, path: PATH, secure: publicUrl.startsWith("https:") });
  } else assertCsrfToken(request, session);
  return identified;
}

function wantsHtml(request: Request): boolean {
  return request.method === "GET" && request.accepts(["json", "html"]) === "html";
}

function openBoard(
  queues: () => readonly Queue[],
  { readOnlyMode }: { readonly readOnlyMode: boolean },
): RequestHandler {
  const serverAdapter = new ExpressAdapter().setBasePath(PATH);
  const adapters = new Map<Queue, BullMQAdapter>();
  const board = createBullBoard({
    queues: [],
    serverAdapter,
    options: {
      handlerHooks: { after: hideFlows },
      uiConfig: {
        boardTitle: readOnlyMode ? "Fleetwright queues (read-only)" : "Fleetwright queues",
        // Only Redis knows its clients: on PostgreSQL the board would show no workers. `GET /api/fleet/hosts` lists them.
        showWorkers: false,
        hideDocsLink: true,
        miscLinks: [{ text: "Log out", url: "/logout" }],
      },
    },
  });
  // Its own handler would respond with the message of any error.
  serverAdapter.setErrorHandler((error) => {
    throw error;
  });
  const router: RequestHandler = serverAdapter.getRouter();

  return (request, response, next) => {
    const current = queues();
    if (current.length !== adapters.size || current.some((queue) => !adapters.has(queue))) {
      const previous = new Map(adapters);
      adapters.clear();
      for (const queue of current)
        adapters.set(queue, previous.get(queue) ?? boardQueue(queue, { readOnlyMode, taskPage: TASKS }));
      board.replaceQueues([...adapters.values()]);
    }
    return router(request, response, next);
  };
}

/** The board reads flows without the adapters. Fleetwright has none, so there is nothing to show. */
const hideFlows: AfterHook = ({ route, request }, answer) =>
  route.endsWith("/flow")
    ? { status: 200, body: { nodeId: String(request.params["jobId"]), flowRoot: null, isFlowNode: false } }
    : answer;
