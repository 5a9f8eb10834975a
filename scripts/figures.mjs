/**
 * Figures of the code's shape, and the bounds they must keep: files per folder, lengths of functions, chains and knots of
 * imports. `npm run figures` prints them and exits 1 when one is over its bound.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { Visitor, parseSync } from "rolldown/utils";

const ROOTS = ["src", "queues", "processors", "schedules"];
/** One file per table, verb or route: such a folder is read by its index, not by its listing. */
const FLAT = new Set([
  "src/store",
  "src/store/migrations",
  "src/store/functions",
  "src/cli/commands",
  "src/http/routes",
]);
const MAX_FILES_PER_FOLDER = 20;
const MAX_IMPORT_CHAIN = 16;

const files = ROOTS.flatMap((root) =>
  readdirSync(root, { recursive: true, encoding: "utf8" }).map((name) => join(root, name)),
);
const sources = files.filter((name) => name.endsWith(".ts")).toSorted();
const parsed = new Map(sources.map((file) => [file, parse(file)]));

/** What one file holds: its lines, the lines of each function, and what it imports, apart for values and for types. */
function parse(file) {
  const text = readFileSync(file, "utf8");
  const { program, module } = parseSync(file, text, { lang: "ts" });
  const starts = lineStarts(text);
  const functions = [];
  const measure = (node) => {
    if (node.body?.type === "BlockStatement") functions.push(codeLines(text, node, starts));
  };
  new Visitor({
    FunctionDeclaration: measure,
    FunctionExpression: measure,
    ArrowFunctionExpression: measure,
  }).visit(program);
  return { lines: text.split("\n").length - 1, functions, imports: importsOf(file, module) };
}

function importsOf(file, { staticImports, staticExports }) {
  const found = [];
  const add = (path, isType) => {
    if (path.startsWith(".")) found.push({ to: join(dirname(file), path), isType });
  };
  for (const { moduleRequest, entries } of staticImports) {
    add(moduleRequest.value, entries.length > 0 && entries.every(({ isType }) => isType));
  }
  for (const { entries } of staticExports) {
    for (const { moduleRequest, isType } of entries) if (moduleRequest) add(moduleRequest.value, isType);
  }
  return found;
}

function lineStarts(text) {
  return [...text.matchAll(/^/gm)].map(({ index }) => index);
}

/** Without blank lines and comments, as the linter counts. */
function codeLines(text, { start, end }, starts) {
  const first = starts.findLastIndex((at) => at <= start);
  const last = starts.findLastIndex((at) => at < end);
  const lines = text.split("\n").slice(first, last + 1);
  return lines.filter((line) => !/^\s*(?:\/\/.*|\/?\*.*)?$/.test(line)).length;
}

/** Groups of files that reach each other (Tarjan), largest first. */
function knots(edges) {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const found = [];
  const visit = (node) => {
    index.set(node, index.size);
    low.set(node, index.get(node));
    stack.push(node);
    for (const next of edges(node)) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node), low.get(next)));
    }
    if (low.get(node) !== index.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    if (group.length > 1) found.push(group.toSorted());
  };
  for (const file of sources) if (!index.has(file)) visit(file);
  return found.toSorted((a, b) => b.length - a.length);
}

const imports = (file) => (parsed.get(file)?.imports ?? []).filter(({ to }) => parsed.has(to));
const valueImports = (file) => imports(file).flatMap(({ to, isType }) => (isType ? [] : [to]));
const allImports = (file) => imports(file).map(({ to }) => to);

/** The longest way down by imports of values; there is one only where no knot of values is. */
function longestChain() {
  const known = new Map();
  const chain = (file) => {
    if (!known.has(file)) {
      const below = valueImports(file).map(chain);
      known.set(file, [file, ...(below.toSorted((a, b) => b.length - a.length)[0] ?? [])]);
    }
    return known.get(file);
  };
  return sources.map(chain).toSorted((a, b) => b.length - a.length)[0];
}

function spread(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return `${at(0.5)} / ${at(0.9)} / ${sorted.at(-1)}`;
}

function largestFolders() {
  const counts = new Map();
  for (const file of files.filter((name) => /\.\w+$/.test(name))) {
    const folder = dirname(file);
    if (!FLAT.has(folder)) counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts].toSorted(([, a], [, b]) => b - a);
}

const all = [...parsed.values()];
const folders = largestFolders();
const valueKnots = knots(valueImports);
const typeKnots = knots(allImports);
const chain = valueKnots.length === 0 ? longestChain() : [];
const rows = [
  ["files", sources.length],
  ["lines", all.reduce((sum, { lines }) => sum + lines, 0)],
  ["lines of a file (median / p90 / max)", spread(all.map(({ lines }) => lines))],
  ["lines of a function (median / p90 / max)", spread(all.flatMap(({ functions }) => functions))],
  [
    "folders with most files",
    folders
      .slice(0, 3)
      .map(([name, count]) => `${name} ${count}`)
      .join(", "),
  ],
  ["longest chain of value imports", chain.length],
  ["knots of value imports", valueKnots.length],
  ["knots of imports, types included", typeKnots.length],
];
const width = Math.max(...rows.map(([name]) => name.length));
for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`);

const over = [
  ...folders
    .filter(([, count]) => count > MAX_FILES_PER_FOLDER)
    .map(([name, n]) => `${name} has ${n} files, more than ${MAX_FILES_PER_FOLDER}`),
  ...typeKnots.map((group) => `these import each other: ${group.join(", ")}`),
  ...(chain.length > MAX_IMPORT_CHAIN
    ? [`a chain of ${chain.length} imports, more than ${MAX_IMPORT_CHAIN}:\n  ${chain.join("\n  ")}`]
    : []),
];
for (const line of over) console.error(`over its bound: ${line}`);
process.exitCode = over.length === 0 ? 0 : 1;
