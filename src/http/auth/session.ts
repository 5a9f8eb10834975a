/** How a browser gets in: a one-time link, spent for a session cookie that no script can read and no other site can send. */
import express, { type Express, type Request, type Response } from "express";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { csrfTokenOf, refuseForged } from "./csrf.ts";
import { refuseStrangers } from "./origin-guard.ts";
import { refusal, type Identified, type Identify } from "./identity.ts";
import { html, sendPage } from "../pages/page.ts";
import type { TokenKind } from "./tokens.ts";

export interface SessionTerms {
  readonly identify: Identify;
  readonly issue: (operator: Operator, kind: TokenKind, ttlMs: number) => Promise<string>;
  /** True exactly once for a jti: a login link that was used is worth nothing. */
  readonly spend: (login: Identified) => Promise<boolean>;
  /** From now on the session is refused everywhere. */
  readonly end: (session: Identified) => Promise<void>;
  /** Where browsers find this server; links lead there, and other host names are refused. */
  readonly publicUrl: string;
}

const LINK_MS = 5 * 60_000;
const SESSION_MS = 12 * 3_600_000;
const COOKIE = "fleet_session";

/** A link that logs this operator's browser in, once, within five minutes. */
export async function loginLink(
  operator: Operator,
  { issue, publicUrl }: SessionTerms,
  next = "/queues",
): Promise<string> {
  const link = new URL("/login", publicUrl);
  link.searchParams.set("code", await issue(operator, "login", LINK_MS));
  link.searchParams.set("next", next);
  return link.href;
}

/** The page first, then a click: whatever fetches links ahead of people does not spend them. */
export function mountLogin(app: Express, terms: SessionTerms): void {
  app.get("/login", (request, response) => {
    refuseStrangers(request, terms.publicUrl);
    const code = textOf(request.query["code"]);
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
  app.post("/login", form, (request, response) => logIn(request, response, terms));

  app.get("/logout", (request, response) => showLogOut(request, response, terms));
  app.post("/logout", form, (request, response) => logOut(request, response, terms));
}

async function logIn(request: Request, response: Response, terms: SessionTerms): Promise<void> {
  refuseStrangers(request, terms.publicUrl);
  const form = new Map(Object.entries(request.body ?? {}));
  const login = await terms.identify(textOf(form.get("code")), "login");
  if (!(await terms.spend(login))) throw new FleetError("unauthenticated", "This login link was used before.");
  response.cookie(COOKIE, await terms.issue(login.operator, "session", SESSION_MS), {
    httpOnly: true,
    sameSite: "strict",
    secure: terms.publicUrl.startsWith("https:"),
    path: "/",
    maxAge: SESSION_MS,
  });
  response.redirect(303, localPath(form.get("next")));
}

/** What the cookie holds; refuses when there is none. The caller has called refuseStrangers. */
export function sessionIn(request: Request): string {
  const cookies = (request.headers.cookie ?? "").split(";").map((pair) => pair.trim());
  const mine = cookies.filter((pair) => pair.startsWith(`${COOKIE}=`));
  // Two of them means that somebody planted one (from a sibling host name): neither is believed.
  const [only] = mine;
  if (mine.length !== 1 || only === undefined) throw refusal();
  return only.slice(COOKIE.length + 1);
}

async function visitor(request: Request, { identify }: SessionTerms) {
  const text = sessionIn(request);
  return { text, identified: await identify(text, "session") };
}

/** A page with the button: a link alone changes nothing. */
async function showLogOut(request: Request, response: Response, terms: SessionTerms): Promise<void> {
  refuseStrangers(request, terms.publicUrl);
  const session = await visitor(request, terms).catch(unlessTold);
  if (!session) {
    response.redirect(303, "/login");
    return;
  }
  const body = html`<h1>Fleetwright</h1>
    <form method="post" action="/logout">
      <input type="hidden" name="csrf" value="${csrfTokenOf(session.text)}" />
      <p>Logged in as ${session.identified.operator.id}.</p>
      <button type="submit" autofocus>Log out</button>
    </form>`;
  sendPage(response, "Log out", body);
}

async function logOut(request: Request, response: Response, terms: SessionTerms): Promise<void> {
  refuseStrangers(request, terms.publicUrl);
  const session = await visitor(request, terms).catch(unlessTold);
  if (session) {
    refuseForged(request, session.text, new Map(Object.entries(request.body ?? {})).get("csrf"));
    await terms.end(session.identified);
  }
  response.clearCookie(COOKIE, { path: "/" }).redirect(303, "/login");
}

/** Who was logged out already is logged out. */
function unlessTold(error: unknown): undefined {
  if (!(error instanceof FleetError) || error.code !== "unauthenticated") throw error;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Only a path of this server; `//elsewhere` and `/\elsewhere` are other hosts to a browser. */
function localPath(value: unknown): string {
  const path = textOf(value);
  return /^\/(?![/\\])[\w\-./~?=&%]*$/.test(path) ? path : "/queues";
}
