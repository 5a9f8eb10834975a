/** The OpenAPI 3.1 document, built from the routes themselves: the schemas that parse are the schemas that are shown. */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { FAILURES, type FailureCode } from "../../domain/errors.ts";
import { Problem } from "../../views/problem.ts";
import type { RouteSpec } from "../route.ts";

type Json = Record<string, unknown>;

export interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Json;
}

type Content = Readonly<Record<string, { readonly schema: Json }>>;

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  /** The role that it needs, where one is needed beyond a valid token. */
  readonly security?: readonly Json[];
  readonly responses: Readonly<Record<string, OpenApiResponse>>;
}

export interface OpenApiResponse {
  readonly description: string;
  readonly headers: Json;
  /** Left out where there is no body: 304. */
  readonly content?: Content;
}

export interface OpenApi {
  readonly openapi: string;
  readonly info: Json;
  readonly servers: readonly Json[];
  readonly security: readonly Json[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly headers: Json; readonly schemas: Json; readonly securitySchemes: Json };
}

export interface DocumentedRoute extends RouteSpec {
  readonly kind: "json" | "sse";
  readonly owner: boolean;
}

/** Any route may fail with these. */
const COMMON_ERRORS: readonly FailureCode[] = [
  "malformed-request",
  "unauthenticated",
  "tier-too-low",
  "invalid-input",
  "rate-limited",
  "database-unavailable",
];
/** Any route with a body may also fail with these. */
const BODY_ERRORS: readonly FailureCode[] = ["malformed-json", "body-too-large", "unsupported-media-type"];

const HEADERS: Readonly<Record<string, { readonly description: string; readonly schema: Json }>> = {
  "X-Request-Id": { description: "Id of this request in the log", schema: { type: "string", format: "uuid" } },
  ETag: { description: "For If-None-Match in the next request", schema: { type: "string" } },
  "Retry-After": { description: "Seconds to wait before the next try", schema: { type: "integer", minimum: 1 } },
};
const RETRYABLE_STATUSES = new Set([429, 503]);

export function buildOpenApi(routes: readonly DocumentedRoute[], version: string): OpenApi {
  const schemas: Json = {};
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method]: toOperation(route, schemas) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Fleetwright", version, description: "Conducts fleets of coding agents." },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }],
    paths,
    components: {
      headers: HEADERS,
      schemas,
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "ES256, at most 24 h" },
      },
    },
  };
}

function toOperation(route: DocumentedRoute, schemas: Json): Operation {
  return {
    operationId: operationId(route),
    summary: route.summary,
    description: `${route.description ?? route.summary}.`.replace("..", ".") + describeAccess(route),
    tags: [route.path.split("/")[3] ?? "fleet"],
    parameters: [
      ...toParameters("path", route.params, schemas),
      ...toParameters("query", route.query, schemas),
      ...toHeaderParameters(route),
    ],
    ...(route.role ? { security: [{ bearer: [route.role] }] } : {}),
    ...(route.body
      ? {
          requestBody: {
            required: true,
            content: { "application/json": { schema: toSchema(route.body, "input", schemas) } },
          },
        }
      : {}),
    responses: { ...toSuccessResponses(route, schemas), ...toFailureResponses(route, schemas) },
  };
}

function describeAccess({ tier, role, owner }: DocumentedRoute): string {
  const needs = [...(tier ? [`tier ${tier}`] : []), ...(role ? [`role ${role}`] : [])].join(" and ");
  const denied = owner ? " Only the owner may use it; for tasks of others it answers 403 or 404." : "";
  return ` Needs ${needs}.${denied}`;
}

/** `post /api/fleet/tasks/:id/stop` → `postTasksIdStop`. */
function operationId({ method, path }: DocumentedRoute): string {
  const words = path.replace("/api/fleet", "").match(/[A-Za-z0-9]+/g) ?? [];
  return method + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

function toParameters(where: "path" | "query", shape: z.ZodType | undefined, schemas: Json): Parameter[] {
  if (!(shape instanceof z.ZodObject)) return [];
  const parts: Readonly<Record<string, z.ZodType>> = shape.shape;
  return Object.entries(parts).map(([name, part]) => {
    const { description, ...schema } = toSchema(part, "input", schemas);
    const required = where === "path" || !part.safeParse(undefined).success;
    return { name, in: where, required, description: typeof description === "string" ? description : "", schema };
  });
}

function toHeaderParameters({ method, kind, idempotent }: DocumentedRoute): Parameter[] {
  const schema = { type: "string" };
  if (kind === "sse") {
    return [{ name: "Last-Event-ID", in: "header", schema, description: "Resume after this event" }];
  }
  if (method === "get") {
    return [{ name: "If-None-Match", in: "header", schema, description: "The ETag of the response that you have" }];
  }
  if (!idempotent) return [];
  return [
    { name: "Idempotency-Key", in: "header", schema, description: "The same key and body return the same response" },
  ];
}

function toSuccessResponses(route: DocumentedRoute, schemas: Json): Operation["responses"] {
  const { kind, method, reply, statuses = { 200: "Done" } } = route;
  const schema = toSchema(reply, "output", schemas);
  const content = { [kind === "sse" ? "text/event-stream" : "application/json"]: { schema } };
  const tagged = kind === "json" && method === "get";
  const responses = Object.entries(statuses).map(([status, description]): [string, OpenApiResponse] => [
    status,
    { description, headers: headerRefs(tagged ? ["ETag"] : []), content },
  ]);
  const unchanged = { description: "Not changed since the response that you have", headers: headerRefs(["ETag"]) };
  return Object.fromEntries(tagged ? [...responses, ["304", unchanged]] : responses);
}

/** One response per status; its description lists the codes that share it. */
function toFailureResponses({ errors = [], body }: DocumentedRoute, schemas: Json): Operation["responses"] {
  const byStatus = new Map<number, string[]>();
  for (const code of new Set([...COMMON_ERRORS, ...(body ? BODY_ERRORS : []), ...errors])) {
    const { status, title } = FAILURES[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${code}\`: ${title}`]);
  }
  const content = { "application/problem+json": { schema: toSchema(Problem, "output", schemas) } };
  const responses = [...byStatus].map(([status, lines]): [string, OpenApiResponse] => [
    String(status),
    {
      description: lines.join("; "),
      headers: headerRefs(RETRYABLE_STATUSES.has(status) ? ["Retry-After"] : []),
      content,
    },
  ]);
  return {
    ...Object.fromEntries(responses),
    default: { description: "Any other failure", headers: headerRefs([]), content },
  };
}

function headerRefs(names: readonly string[]): Json {
  return Object.fromEntries(["X-Request-Id", ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** A schema with an id becomes a component, and a reference to it. */
function toSchema(shape: z.ZodType, io: "input" | "output", schemas: Json): Json {
  const { $schema: _dialect, $defs = {}, ...schema } = z.toJSONSchema(shape, { io, unrepresentable: "any" });
  for (const [name, part] of Object.entries($defs)) addSchema(schemas, componentName(name), rewriteRefs(part));
  const id = z.globalRegistry.get(shape)?.["id"];
  if (typeof id !== "string") return rewriteRefs(schema);
  // A schema that refers to itself, or uses itself twice, is among its own definitions already.
  if (!(id in $defs)) addSchema(schemas, id, rewriteRefs(schema));
  return { $ref: `#/components/schemas/${id}` };
}

/** One name, one meaning. */
function addSchema(schemas: Json, name: string, schema: Json): void {
  if (name in schemas && !isDeepStrictEqual(schemas[name], schema)) {
    throw new Error(`Two schemas of the API have the id ${name}. Give one of them another id.`);
  }
  schemas[name] = schema;
}

/** zod numbers a schema that refers to itself and has no id. */
function componentName(name: string): string {
  return name.replace(/^__schema/, "Recursive");
}

const Schema = z.record(z.string(), z.unknown());

function rewriteRefs(schema: object): Json {
  const { id: _id, ...rest } = Schema.parse(schema);
  const text = JSON.stringify(rest).replaceAll(
    /"#\/\$defs\/(\w+)"/g,
    (_, name: string) => `"#/components/schemas/${componentName(name)}"`,
  );
  return Schema.parse(JSON.parse(text));
}
