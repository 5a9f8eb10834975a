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

export function clientTypesOf(document: unknown): string {
  const { paths, components } = Document.parse(document);
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => routeOf(method, path, operation)),
  );
  const types = new Map(Object.entries(components.schemas).map(([name, schema]) => [name, typeOf(schema)]));
  const named = [...namesIn(routes.join("\n"), types)].map((name) => `type ${name} = ${types.get(name)};`);
  return `${HEAD}\nexport interface Routes {\n${routes.join("\n")}\n}\n\n${named.join("\n\n")}\n`;
}

/** Those that are used, also by each other. */
function namesIn(text: string, types: ReadonlyMap<string, string>, known = new Set<string>()): Set<string> {
  for (const [name, type] of types) {
    if (known.has(name) || !new RegExp(`\\b${name}\\b`).test(text)) continue;
    known.add(name);
    namesIn(type, types, known);
  }
  return known;
}

function routeOf(method: string, path: string, operation: Operation): string {
  const replies = Object.entries(operation.responses).flatMap(([status, { content = {} }]) =>
    status.startsWith("2") ? Object.entries(content) : [],
  );
  const streams = replies.some(([type]) => type === "text/event-stream");
  const reply = [...new Set(replies.map(([, { schema }]) => typeOf(schema)))].join(" | ") || "undefined";
  const name = `${streams ? "STREAM" : method.toUpperCase()} ${path}`;
  return `"${name}": { readonly ask: ${askOf(operation)}; readonly reply: ${reply} };`;
}

function askOf({ parameters, requestBody }: Operation): string {
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
  if (body) fields.push(`readonly body: ${typeOf(body.schema)}`);
  return `{ ${fields.join("; ")} }`;
}

function record(parameters: Operation["parameters"], type: string): string {
  return `{ ${parameters.map(({ name, required }) => `readonly ${name}${required ? "" : "?"}: ${type}`).join("; ")} }`;
}

/** The part of JSON Schema that our schemas are written in; whatever else is unknown. */
function typeOf(schema: Schema): string {
  const { $ref } = schema;
  if (typeof $ref === "string") return $ref.split("/").at(-1) ?? "unknown";
  if ("const" in schema) return JSON.stringify(schema["const"]);
  const choices = partsOf(schema["enum"]);
  if (choices.length > 0) return choices.map((choice) => JSON.stringify(choice)).join(" | ");
  const either = schemasOf(schema["anyOf"] ?? schema["oneOf"]);
  if (either.length > 0) return joined(either, "|");
  const all = schemasOf(schema["allOf"]);
  if (all.length > 0) return joined(all, "&");
  return ofType(schema);
}

function joined(schemas: readonly Schema[], sign: "|" | "&"): string {
  return `(${[...new Set(schemas.map((one) => typeOf(one)))].join(` ${sign} `)})`;
}

function ofType(schema: Schema): string {
  const { type } = schema;
  if (Array.isArray(type)) {
    return joined(
      type.map((one) => ({ ...schema, type: one })),
      "|",
    );
  }
  if (type === "object") return objectOf(schema);
  if (type === "array") return arrayOf(schema);
  return typeof type === "string" ? (SIMPLE[type] ?? "unknown") : "unknown";
}

const SIMPLE: Readonly<Record<string, string>> = {
  string: "string",
  number: "number",
  integer: "number",
  boolean: "boolean",
  null: "null",
};

function objectOf({ properties, required, additionalProperties }: Schema): string {
  const needed = new Set(partsOf(required));
  const fields = Object.entries(Schema.parse(properties ?? {})).map(([name, part]) => {
    const type = typeOf(Schema.parse(part));
    return `readonly ${JSON.stringify(name)}${needed.has(name) ? `: ${type}` : `?: ${type} | undefined`}`;
  });
  if (fields.length > 0) return `{ ${fields.join("; ")} }`;
  const others = Schema.safeParse(additionalProperties);
  // Not Record: a type may name itself only in braces.
  return `{ readonly [name: string]: ${others.success ? typeOf(others.data) : "unknown"} }`;
}

function arrayOf({ items, prefixItems }: Schema): string {
  const first = schemasOf(prefixItems);
  if (first.length > 0) return `[${first.map((one) => typeOf(one)).join(", ")}]`;
  return `(${typeOf(Schema.parse(items ?? {}))})[]`;
}

function partsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function schemasOf(value: unknown): Schema[] {
  return partsOf(value).map((one) => Schema.parse(one));
}
