/** Small pages that the server renders itself: escaped text, one style sheet, no scripts, nothing from other hosts. */
import type { Response } from "express";
import { escapeHtml } from "../../domain/text/html.ts";

/** Markup that is already safe. */
export interface Html {
  readonly markup: string;
}

/** `html` escapes every value that is not markup itself; lists are joined. */
export function html(
  parts: TemplateStringsArray,
  ...values: readonly (string | number | Html | readonly Html[])[]
): Html {
  return { markup: parts.reduce((text, part, index) => text + renderValue(values[index - 1] ?? "") + part) };
}

function renderValue(value: string | number | Html | readonly Html[]): string {
  if (typeof value === "string" || typeof value === "number") {
    return escapeHtml(String(value));
  }
  return "markup" in value ? value.markup : value.map((part) => part.markup).join("");
}

const CSP =
  "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

export function sendPage(response: Response, title: string, body: Html): void {
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Fleetwright</title>
        <link rel="stylesheet" href="/api/docs.css" />
      </head>
      <body>
        <main>${body}</main>
      </body>
    </html>`;
  response.set({ "content-security-policy": CSP, "cache-control": "no-store" });
  // With `no-referrer` a browser sends `Origin: null` with a form, and our own login would be refused as cross-site.
  response.set("referrer-policy", "same-origin").type("html").send(page.markup);
}

export const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2f6fde; }
@media (prefers-color-scheme: dark) { :root { --accent: #7aa8ff; } }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
code, pre { font: 0.875rem/1.5 ui-monospace, monospace; }
pre { background: var(--soft); border-radius: 6px; padding: .75rem; overflow-x: auto; }
details { border: 1px solid var(--line); border-radius: 8px; margin: .4rem 0; padding: .5rem .75rem; }
summary { cursor: pointer; display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; }
summary b { font: 700 0.75rem/1 ui-monospace, monospace; min-width: 3.5rem; color: var(--accent); }
summary span { opacity: .75; } a { color: var(--accent); }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
nav { display: flex; flex-wrap: wrap; gap: .25rem .75rem; } h3 { font-size: 0.9rem; margin: 1rem 0 .25rem; }
pre { max-height: 28rem; overflow-y: auto; } th { white-space: nowrap; }
button { font: inherit; padding: .5rem 1rem; border-radius: 6px; border: 1px solid var(--accent); background: var(--accent); color: Canvas; cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
`;
