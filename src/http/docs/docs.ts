/** /api/openapi.json, and the same document as a page to read: /api/docs. Without scripts, as all pages: see decision 25. */
import type { Express } from "express";
import { VERSION } from "../../domain/version.ts";
import { curlFor } from "./docs-curl.ts";
import { buildOpenApi, type DocumentedRoute, type OpenApi, type Operation, type Parameter } from "./openapi.ts";
import { html, sendPage, STYLE, type Html } from "../pages/page.ts";

export function mountDocs(app: Express, routes: readonly DocumentedRoute[]): void {
  let document: OpenApi | undefined;
  app.get("/api/openapi.json", (_request, response) => {
    document ??= buildOpenApi(routes, VERSION);
    response.set("cache-control", "public, no-cache").json(document);
  });
  app.get("/api/docs.css", (_request, response) => {
    response.set("cache-control", "public, max-age=3600").type("css").send(STYLE);
  });
  app.get("/api/docs", (_request, response) => {
    sendPage(response, "API", renderDocs(buildOpenApi(routes, VERSION)));
  });
}

function renderDocs({ paths, components: { schemas } }: OpenApi): Html {
  const all = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ method, path, operation })),
  );
  const tags = [...new Set(all.flatMap(({ operation }) => operation.tags))];
  return html`<h1>Fleetwright API</h1>
    <p>
      Every request needs <code>Authorization: Bearer &lt;token&gt;</code>; failures are
      <code>application/problem+json</code>. For programs: <a href="/api/openapi.json">openapi.json</a> (OpenAPI 3.1).
      The examples take <code>FLEET_URL</code> and <code>FLEET_TOKEN</code> from the environment.
    </p>
    <nav>${tags.map((tag) => html`<a href="#tag-${tag}">${tag}</a> `)}<a href="#schemas">schemas</a></nav>
    ${tags.map(
      (tag) =>
        html`<h2 id="tag-${tag}">${tag}</h2>
          ${all.filter(({ operation }) => operation.tags.includes(tag)).map((one) => renderRoute(one, schemas))}`,
    )}
    <h2 id="schemas">Schemas</h2>
    ${Object.entries(schemas).map(
      ([name, schema]) =>
        html`<details>
          <summary><code>${name}</code></summary>
          <div id="${name}">${renderSchema(schema)}</div>
        </details>`,
    )}`;
}

interface OperationEntry {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

function renderRoute({ method, path, operation }: OperationEntry, schemas: OpenApi["components"]["schemas"]): Html {
  const { operationId, summary, description, parameters, requestBody, responses } = operation;
  const successes = Object.entries(responses).filter(([status]) => status.startsWith("2"));
  return html`<details>
    <summary><b>${method.toUpperCase()}</b> <code>${path}</code> <span>${summary}</span></summary>
    <p id="${operationId}">${renderInlineCode(description)}</p>
    <h3>Example</h3>
    <pre>${curlFor(method, path, operation, schemas)}</pre>
    ${parameters.length > 0 ? [html`<h3>Parameters</h3>`, renderTable(parameters.map((one) => [one.name, describeParameter(one)]))] : []}
    ${requestBody ? [html`<h3>Body</h3>`, ...Object.values(requestBody.content).map(({ schema }) => renderSchema(schema))] : []}
    <h3>Responses</h3>
    ${renderTable(Object.entries(responses).map(([status, answer]) => [status, answer.description]))}
    ${successes.flatMap(([status, { content = {} }]) =>
      Object.entries(content).flatMap(([type, { schema }]) => [
        html`<h3>${status}, ${type}</h3>`,
        renderSchema(schema),
      ]),
    )}
  </details>`;
}

function describeParameter({ in: where, required, description, schema }: Parameter): string {
  const { enum: choices, type, default: preset } = schema;
  const words = Array.isArray(choices) ? choices.join(", ") : typeof type === "string" ? type : "text";
  const otherwise = preset === undefined ? "" : ` Default: ${JSON.stringify(preset)}.`;
  return `${where}${required ? ", required" : ""}: ${words}. ${description ?? ""}${otherwise}`;
}

function renderTable(rows: readonly (readonly [string, string])[]): Html {
  return html`<table>
    ${rows.map(
      ([name, text]) =>
        html`<tr>
          <th scope="row"><code>${name}</code></th>
          <td>${renderInlineCode(text)}</td>
        </tr>`,
    )}
  </table>`;
}

/** A schema as JSON, with links to the schemas that it refers to. */
function renderSchema(schema: unknown): Html {
  const text = JSON.stringify(schema, undefined, 2);
  const names = [...new Set([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name = ""]) => name))];
  const links = names.map((name) => html`<a href="#${name}">${name}</a> `);
  const isName = typeof schema === "object" && schema !== null && "$ref" in schema;
  return html`${names.length > 0 ? [html`<p>See ${links}</p>`] : []} ${isName ? [] : [html`<pre>${text}</pre>`]}`;
}

/** Renders text between backticks as code. */
function renderInlineCode(text: string): Html[] {
  return text.split("`").map((part, at) => (at % 2 === 0 ? html`${part}` : html`<code>${part}</code>`));
}
