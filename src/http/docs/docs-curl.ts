/** A curl command as an example of each operation, with the least that the route takes. */
import type { OpenApi, Operation } from "./openapi.ts";

type Schemas = OpenApi["components"]["schemas"];
/** Deeper than any body of the API. */
const MAX_DEPTH = 6;

export function curlFor(method: string, path: string, operation: Operation, schemas: Schemas): string {
  const { parameters, requestBody, responses } = operation;
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => `<${name}>`);
  const query = parameters
    .filter((one) => one.in === "query" && one.required)
    .map(({ name, schema }) => `${name}=${String(buildExample(schema, schemas))}`)
    .join("&");
  const body = requestBody?.content["application/json"]?.schema;
  const streams = Object.values(responses).some(({ content = {} }) => "text/event-stream" in content);
  return [
    `curl ${streams ? "-N " : ""}${method === "get" ? "" : `-X ${method.toUpperCase()} `}"$FLEET_URL${filled}${query && `?${query}`}"`,
    '-H "Authorization: Bearer $FLEET_TOKEN"',
    ...(parameters.some(({ name }) => name === "Idempotency-Key") ? ['-H "Idempotency-Key: $(uuidgen)"'] : []),
    ...(body ? [`-H "Content-Type: application/json" -d '${JSON.stringify(buildExample(body, schemas))}'`] : []),
  ].join(" \\\n  ");
}

/** The example of a schema, or the simplest value that it accepts: of an object only the required fields. */
function buildExample(schema: unknown, schemas: Schemas, depth = 0): unknown {
  if (depth > MAX_DEPTH || !isRecord(schema)) return null;
  const { $ref, examples, enum: choices, anyOf, type } = schema;
  if (typeof $ref === "string") return buildExample(schemas[$ref.split("/").at(-1) ?? ""], schemas, depth + 1);
  const given: unknown = [examples, choices].flat().find((one) => one !== undefined);
  if (given !== undefined) return given;
  if (Array.isArray(anyOf)) return buildExample(anyOf[0], schemas, depth + 1);
  if (type === "object") return buildObjectExample(schema, schemas, depth);
  if (type === "array") return [buildExample(schema["items"], schemas, depth + 1)];
  return typeof type === "string" ? (DEFAULT_EXAMPLES[type] ?? "…") : "…";
}

const DEFAULT_EXAMPLES: Readonly<Record<string, unknown>> = { integer: 1, number: 1, boolean: true };

function buildObjectExample(
  { properties, required }: Record<string, unknown>,
  schemas: Schemas,
  depth: number,
): object {
  const needed: readonly unknown[] = Array.isArray(required) ? required : [];
  const fields = isRecord(properties) ? Object.entries(properties) : [];
  return Object.fromEntries(
    fields
      .filter(([name]) => needed.includes(name))
      .map(([name, part]) => [name, buildExample(part, schemas, depth + 1)]),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
