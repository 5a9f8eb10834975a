/**
 * docs/openapi.json as tests use it: its operations, how to call them, and whether a response matches the document.
 */
import { readFile } from "node:fs/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { z } from "zod";
import { EXAMPLES, type Example } from "./examples.ts";
import type { AskOptions, WebWorld } from "../web-world.ts";

export const Schema = z.record(z.string(), z.unknown());
const OperationShape = z.looseObject({
  operationId: z.string(),
  description: z.string(),
  /** The roles that the operation needs, if any. */
  security: z.array(z.object({ bearer: z.array(z.string()) })).optional(),
  requestBody: z.unknown().optional(),
  responses: z.record(
    z.string(),
    z.looseObject({ content: z.record(z.string(), z.object({ schema: Schema })).optional() }),
  ),
});
const Document = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), OperationShape)),
  components: z.object({ schemas: z.record(z.string(), Schema) }),
});

const text = await readFile("docs/openapi.json", "utf8");
/** The path as the document writes it. */
export const openApi = (): unknown => JSON.parse(text);
export const DOCUMENT = Document.parse(openApi());
export const OPERATIONS = Object.entries(DOCUMENT.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) =>
    Object.assign(operation, { path, method, name: operation.operationId }),
  ),
);
export type Operation = (typeof OPERATIONS)[number];
export const METHODS = ["get", "post", "put", "patch", "delete"];

// Not strict, because an OpenAPI document holds more than schemas.
export const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true }));
/**
 * ajv cannot follow a reference into the middle of a document that leads to another reference, so each part gets its
 * own name.
 */
const parts = Document.parse(JSON.parse(text.replaceAll('"#/components/schemas/', '"part:')));
for (const [name, schema] of Object.entries(parts.components.schemas)) ajv.addSchema(schema, `part:${name}`);

/** What is wrong with a response, by the schema that the document has for this status and content type. */
export function schemaErrors(
  { path, method, responses }: Operation,
  status: number,
  type: string,
  body: unknown,
): string[] {
  const key = String(status) in responses ? String(status) : "default";
  const schema = parts.paths[path]?.[method]?.responses[key]?.content?.[type]?.schema;
  if (!schema) return [`${status} with ${type} is not in the document`];
  return ajv.validate(schema, body)
    ? []
    : (ajv.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

export const contentTypeOf = (response: Response) => response.headers.get("content-type")?.split(";")[0] ?? "";

export function findExample({ name }: Operation): Example | undefined {
  return EXAMPLES.find(({ operation }) => operation === name);
}

/** The path with its parameters, below /api/fleet. */
export function buildPath(world: WebWorld, { path }: Operation, { params = {}, query }: Partial<Example> = {}): string {
  const names: Readonly<Record<string, string>> = world.names;
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(params[name]?.(world) ?? names[name] ?? ""),
  );
  return filled.replace("/api/fleet", "") + (query ? `?${query}` : "");
}

export function buildRequest(world: WebWorld, { method }: Operation, example: Partial<Example> = {}): AskOptions {
  const { by, body, headers } = example;
  return {
    method: method.toUpperCase(),
    ...(by ? { by: by(world) } : {}),
    ...(body ? { body: body(world) } : {}),
    ...(headers ? { headers } : {}),
  };
}
