/** Login of browsers: a one-time link is exchanged for a session cookie that no script can read and no other site can send. */
import express, { type Express, type Request, type Response } from "express";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { deriveCsrfToken, assertCsrfToken } from "./csrf.ts";
import { assertSameOrigin } from "./origin-guard.ts";
import { unauthenticated, type Identity, type Identify } from "./identity.ts";
import { html, sendPage } from "../pages/page.ts";
import type { TokenKind } from "./tokens.ts";

export interface SessionOptions {
  readonly identify: Identify;
  readonly issue: (operator: Operator, kind: TokenKind, ttlMs: number) => Promise<string>;
  /** True exactly once per jti, so that a login link works once. */
  readonly spend: (login: Identity) => Promise<boolean>;
  /** Revokes the session everywhere. */
  readonly end: (session: Identity) => Promise<void>;
  /** The URL of this server for browsers; links use it, and other host names are refused. */
  readonly publicUrl: string;
}

const LINK_TTL_MS = 5 * 60_000;
const SESSION_TTL_MS = 12 * 3_600_000;
const COOKIE = "fleet_session";

/** A link that logs this operator's browser in, once, within five minutes. */
export async function loginLink(
  operator: Operator,
  { issue, publicUrl }: SessionOptions,
  next = "/queues",
): Promise<string> {
  const link = new URL("/login", publicUrl);
  link.searchParams.set("code", await issue(operator, "login", LINK_TTL_MS));
  link.searchParams.set("next", next);
  return link.href;
}

/** The login needs a click on a page, so that programs that prefetch links do not use them up. */
export function mountLogin(app: Express, options: SessionOptions): void {
  app.get("/login", (request, response) => {
    assertSameOrigin(request, options.publicUrl);
    const code = toText(request.query["code"]);
    const body = code
      ? html`<h1>Fleetwright</h1>
          <form method="post" action="/login">
            <input type="hidden" name="code" value="${code}" />
            <input type="hidden" name="next" value="${localPath(request.query["next"])}" />
            <p>This link works once.</p>
            <button type="submit" autofocus>Log in</button>
          </form>`
      : html`<h1>Not logged in</h1>
          <p><code>fleet login</code> prints a link that logs you in. It works once.</p>`;
    sendPage(response, "Log in", body);
  });

  const form = express.urlencoded({ extended: false, limit: "16kb" });
  app.post("/login", form, (request, response) => logIn(request, response, options));

  app.get("/logout", (request, response) => showLogOut(request, response, options));
  app.post("/logout", form, (request, response) => logOut(request, response, options));
}

async function logIn(request: Request, response: Response, options: SessionOptions): Promise<void> {
  assertSameOrigin(request, options.publicUrl);
  const form = new Map(Object.entries(request.body ?? {}));
  const login = await options.identify(toText(form.get("code")), "login");
  if (!(await options.spend(login))) throw new FleetError("unauthenticated", "This login link was used before.");
  response.cookie(COOKIE, await options.issue(login.operator, "session", SESSION_TTL_MS), {
    httpOnly: true,
    sameSite: "strict",
    secure: options.publicUrl.startsWith("https:"),
    path: "/",
    maxAge: SESSION_TTL_MS,
  });
  response.redirect(303, localPath(form.get("next")));
}

/** The session token of the cookie; throws if there is none. The caller has to call assertSameOrigin first. */
export function readSessionCookie(request: Request): string {
  const cookies = (request.headers.cookie ?? "").split(";").map((pair) => pair.trim());
  const mine = cookies.filter((pair) => pair.startsWith(`${COOKIE}=`));
  // With two cookies, one may come from an attacker on a sibling host name: neither is accepted.
  const [only] = mine;
  if (mine.length !== 1 || only === undefined) throw unauthenticated();
  return only.slice(COOKIE.length + 1);
}

async function identifySession(request: Request, { identify }: SessionOptions) {
  const text = readSessionCookie(request);
  return { text, identified: await identify(text, "session") };
}

/** Shows a button, because a link alone must not change anything. */
async function showLogOut(request: Request, response: Response, options: SessionOptions): Promise<void> {
  assertSameOrigin(request, options.publicUrl);
  const session = await identifySession(request, options).catch(ignoreUnauthenticated);
  if (!session) {
    response.redirect(303, "/login");
    return;
  }
  const body = html`<h1>Fleetwright</h1>
    <form method="post" action="/logout">
      <input type="hidden" name="csrf" value="${deriveCsrfToken(session.text)}" />
      <p>Logged in as ${session.identified.operator.id}.</p>
      <button type="submit" autofocus>Log out</button>
    </form>`;
  sendPage(response, "Log out", body);
}

async function logOut(request: Request, response: Response, options: SessionOptions): Promise<void> {
  assertSameOrigin(request, options.publicUrl);
  const session = await identifySession(request, options).catch(ignoreUnauthenticated);
  if (session) {
    assertCsrfToken(request, session.text, new Map(Object.entries(request.body ?? {})).get("csrf"));
    await options.end(session.identified);
  }
  response.clearCookie(COOKIE, { path: "/" }).redirect(303, "/login");
}

/** An operator without a session is logged out already. */
function ignoreUnauthenticated(error: unknown): undefined {
  if (!(error instanceof FleetError) || error.code !== "unauthenticated") throw error;
}

function toText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Only a path of this server; `//elsewhere` and `/\elsewhere` are other hosts to a browser. */
function localPath(value: unknown): string {
  const path = toText(value);
  return /^\/(?![/\\])[\w\-./~?=&%]*$/.test(path) ? path : "/queues";
}
