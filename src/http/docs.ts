/** /api/openapi.json, and the same document as a page one can read: /api/docs. Served from here, without a script. */
import type { Express } from "express";
import { openApiOf, type DocumentedRoute, type OpenApi, type Operation } from "./openapi.ts";
import { html, sendPage, STYLE, type Html } from "./page.ts";

const VERSION = "0.1.0";

export function mountDocs(app: Express, routes: readonly DocumentedRoute[]): void {
  let written: OpenApi | undefined;
  app.get("/api/openapi.json", (_request, response) => {
    written ??= openApiOf(routes, VERSION);
    response.set("cache-control", "public, no-cache").json(written);
  });
  app.get("/api/docs.css", (_request, response) => {
    response.set("cache-control", "public, max-age=3600").type("css").send(STYLE);
  });
  app.get("/api/docs", (_request, response) => {
    sendPage(response, "API", docs(openApiOf(routes, VERSION)));
  });
}

function docs({ paths, components: { schemas } }: OpenApi): Html {
  return html`<h1>Fleetwright API</h1>
    <p>
      Every request carries <code>Authorization: Bearer &lt;token&gt;</code>; failures are
      <code>application/problem+json</code>. For machines: <a href="/api/openapi.json">openapi.json</a> (OpenAPI 3.1).
    </p>
    <h2>Routes</h2>
    ${Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => route(method, path, operation)),
    )}
    <h2>Schemas</h2>
    ${Object.entries(schemas).map(
      ([name, schema]) =>
        html`<details id="${name}">
          <summary><code>${name}</code></summary>
          ${json(schema)}
        </details>`,
    )}`;
}

function route(method: string, path: string, operation: Operation): Html {
  const { summary, description, parameters, requestBody, responses } = operation;
  return html`<details>
    <summary><b>${method.toUpperCase()}</b> <code>${path}</code> <span>${summary}</span></summary>
    <p>${description}</p>
    ${parameters.length > 0 ? [table(parameters.map((one) => [`${one.name} (${one.in})`, one.description ?? ""]))] : []}
    ${requestBody ? [html`<h3>Body</h3>`, ...Object.values(requestBody.content).map(({ schema }) => json(schema))] : []}
    <h3>Answers</h3>
    ${table(Object.entries(responses).map(([status, answer]) => [status, answer.description]))}
    ${Object.values(responses["200"]?.content ?? {}).map(({ schema }) => json(schema))}
  </details>`;
}

function table(rows: readonly (readonly [string, string])[]): Html {
  return html`<table>
    ${rows.map(
      ([name, text]) =>
        html`<tr>
          <th scope="row"><code>${name}</code></th>
          <td>${text}</td>
        </tr>`,
    )}
  </table>`;
}

function json(value: unknown): Html {
  return html`<pre>${JSON.stringify(value, undefined, 2)}</pre>`;
}
