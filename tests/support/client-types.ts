/** The API as types for the verbs, written from the OpenAPI document: what each route takes, and what it answers. */
import { z } from "zod";

const Schema = z.record(z.string(), z.unknown());
type Schema = z.infer<typeof Schema>;
const Content = z.record(z.string(), z.object({ schema: Schema }));
const Operation = z.object({
  parameters: z.array(z.object({ name: z.string(), in: z.string(), required: z.boolean().optional() })),
  requestBody: z.object({ content: Content }).optional(),
  responses: z.record(z.string(), z.object({ content: Content.optional() })),
});
type Operation = z.infer<typeof Operation>;
const Document = z.object({
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.object({ schemas: z.record(z.string(), Schema) }),
});

const HEAD = `/**
 * The routes of the API, written from docs/openapi.json; not by hand: UPDATE_DOCS=1 npx vitest run tests/docs
 * \`ask\` is what a route takes, \`reply\` what it answers; GETs that stream are called STREAM.
 */
/* oxlint-disable eslint/max-lines */

/** What stands in a query, as text in the end. */
type Word = string | number | boolean | undefined;
`;

export function generateClientTypes(document: unknown): string {
  const { paths, components } = Document.parse(document);
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => routeType(method, path, operation)),
  );
  const types = new Map(Object.entries(components.schemas).map(([name, schema]) => [name, toType(schema)]));
  const named = [...referencedNames(routes.join("\n"), types)].map((name) => `type ${name} = ${types.get(name)};`);
  return `${HEAD}\nexport interface Routes {\n${routes.join("\n")}\n}\n\n${named.join("\n\n")}\n`;
}

/** Those that are used, also by each other. */
function referencedNames(text: string, types: ReadonlyMap<string, string>, known = new Set<string>()): Set<string> {
  for (const [name, type] of types) {
    if (known.has(name) || !new RegExp(`\\b${name}\\b`).test(text)) continue;
    known.add(name);
    referencedNames(type, types, known);
  }
  return known;
}

function routeType(method: string, path: string, operation: Operation): string {
  const replies = Object.entries(operation.responses).flatMap(([status, { content = {} }]) =>
    status.startsWith("2") ? Object.entries(content) : [],
  );
  const streams = replies.some(([type]) => type === "text/event-stream");
  const reply = [...new Set(replies.map(([, { schema }]) => toType(schema)))].join(" | ") || "undefined";
  const name = `${streams ? "STREAM" : method.toUpperCase()} ${path}`;
  return `"${name}": { readonly ask: ${requestType(operation)}; readonly reply: ${reply} };`;
}

function requestType({ parameters, requestBody }: Operation): string {
  const named = (where: string) => parameters.filter((one) => one.in === where);
  const fields = [];
  if (named("path").length > 0) fields.push(`readonly path: ${record(named("path"), "string")}`);
  if (named("query").length > 0) {
    const optional = named("query").every(({ required }) => !required);
    fields.push(`readonly query${optional ? "?" : ""}: ${record(named("query"), "Word")}`);
  }
  if (named("header").some(({ name }) => name === "Idempotency-Key")) {
    fields.push("readonly idempotencyKey?: string | undefined");
  }
  const body = requestBody?.content["application/json"];
  if (body) fields.push(`readonly body: ${toType(body.schema)}`);
  return `{ ${fields.join("; ")} }`;
}

function record(parameters: Operation["parameters"], type: string): string {
  return `{ ${parameters.map(({ name, required }) => `readonly ${name}${required ? "" : "?"}: ${type}`).join("; ")} }`;
}

/** The part of JSON Schema that our schemas are written in; whatever else is unknown. */
function toType(schema: Schema): string {
  const { $ref } = schema;
  if (typeof $ref === "string") return $ref.split("/").at(-1) ?? "unknown";
  if ("const" in schema) return JSON.stringify(schema["const"]);
  const choices = asArray(schema["enum"]);
  if (choices.length > 0) return choices.map((choice) => JSON.stringify(choice)).join(" | ");
  const either = asSchemas(schema["anyOf"] ?? schema["oneOf"]);
  if (either.length > 0) return joinTypes(either, "|");
  const all = asSchemas(schema["allOf"]);
  if (all.length > 0) return joinTypes(all, "&");
  return typeByName(schema);
}

function joinTypes(schemas: readonly Schema[], sign: "|" | "&"): string {
  return `(${[...new Set(schemas.map((one) => toType(one)))].join(` ${sign} `)})`;
}

function typeByName(schema: Schema): string {
  const { type } = schema;
  if (Array.isArray(type)) {
    return joinTypes(
      type.map((one) => ({ ...schema, type: one })),
      "|",
    );
  }
  if (type === "object") return objectType(schema);
  if (type === "array") return arrayType(schema);
  return typeof type === "string" ? (PRIMITIVE_TYPES[type] ?? "unknown") : "unknown";
}

const PRIMITIVE_TYPES: Readonly<Record<string, string>> = {
  string: "string",
  number: "number",
  integer: "number",
  boolean: "boolean",
  null: "null",
};

function objectType({ properties, required, additionalProperties }: Schema): string {
  const needed = new Set(asArray(required));
  const fields = Object.entries(Schema.parse(properties ?? {})).map(([name, part]) => {
    const type = toType(Schema.parse(part));
    return `readonly ${JSON.stringify(name)}${needed.has(name) ? `: ${type}` : `?: ${type} | undefined`}`;
  });
  if (fields.length > 0) return `{ ${fields.join("; ")} }`;
  const others = Schema.safeParse(additionalProperties);
  // Not Record: a type may name itself only in braces.
  return `{ readonly [name: string]: ${others.success ? toType(others.data) : "unknown"} }`;
}

function arrayType({ items, prefixItems }: Schema): string {
  const first = asSchemas(prefixItems);
  if (first.length > 0) return `[${first.map((one) => toType(one)).join(", ")}]`;
  return `(${toType(Schema.parse(items ?? {}))})[]`;
}

function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function asSchemas(value: unknown): Schema[] {
  return asArray(value).map((one) => Schema.parse(one));
}
