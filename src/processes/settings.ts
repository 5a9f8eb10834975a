/** Finds, reads and validates fleet.yaml, reporting every mistake with its line; and reads it again when it changes. */
import { readFile, stat } from "node:fs/promises";
import { dirname, isAbsolute, resolve } from "node:path";
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit, type Document } from "yaml";
import { codeOf, FleetError, messageOf } from "../domain/errors.ts";
import { parseSettings, type Settings } from "../domain/settings/settings.ts";
import { startLoop } from "./loop.ts";
import type { KeyedProblem } from "../domain/input-problems.ts";
import { keyedProblem } from "../domain/input-problems.ts";

/** Hundreds of products fit well; a larger file is a mistake, and would be parsed again at each change. */
const MAX_CHARACTERS = 1_048_576;

/** Returns the defaults when there is no file and none was named. Paths of products are relative to the file. */
export async function loadSettings(configFile: string | undefined, folder: string): Promise<Settings> {
  const file = settingsPath(configFile, folder);
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (!configFile && codeOf(error) === "ENOENT") return "";
    throw new FleetError("invalid-input", `${file} cannot be read: ${String(error)}`, { file }, error);
  });
  return parseSettingsFile(text, resolve(folder, file));
}

function settingsPath(configFile: string | undefined, folder: string): string {
  return configFile ?? resolve(folder, "fleet.yaml");
}

/** Parses a file of this text and name. Throws "invalid-input" with all mistakes, by line and field. */
export function parseSettingsFile(text: string, file: string): Settings {
  if (text.length > MAX_CHARACTERS) {
    throw new FleetError("invalid-input", `${file} is larger than ${MAX_CHARACTERS} characters.`, { file });
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    const syntaxErrors = document.errors.map(({ message, pos }) => ({
      ...keyedProblem([], message),
      ...positionAt(lines, pos[0]),
    }));
    throw invalidFileError(file, syntaxErrors);
  }
  const invalidTextAt = (offset: number): LocatedProblem => ({
    ...keyedProblem([], INVALID_TEXT),
    ...positionAt(lines, offset),
  });
  const invalidTexts = findInvalidTexts(document).map(invalidTextAt);
  if (invalidTexts.length > 0) throw invalidFileError(file, invalidTexts);
  const withPosition = (problem: KeyedProblem): LocatedProblem => ({
    ...problem,
    ...positionAt(lines, findOffset(document, problem.keys)),
  });
  const parsed = parseSettings(expandDocument(document, file));
  if (!parsed.ok) throw invalidFileError(file, parsed.problems.map(withPosition));
  const products = parsed.settings.products.map((product) => ({
    ...product,
    repository: resolveRepository(product.repository, dirname(file)),
  }));
  const duplicates = findDuplicateRepositories(products);
  if (duplicates.length > 0) throw invalidFileError(file, duplicates.map(withPosition));
  return { ...parsed.settings, products };
}

const INVALID_TEXT = "contains a NUL character or an unpaired surrogate";

/** The positions of texts that no store can hold, in keys and in values. */
function findInvalidTexts(document: Document): number[] {
  const found: number[] = [];
  visit(document, {
    Scalar(_key, { value, range }) {
      if (typeof value === "string" && (value.includes("\0") || !value.isWellFormed())) found.push(range?.[0] ?? 0);
    },
  });
  return found;
}

/** Rejects aliases that refer to nothing, and those that expand into more values than a machine can hold. */
function expandDocument(document: Document, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    const why = messageOf(error);
    throw new FleetError("invalid-input", `${file} is not valid: ${why}`, { file }, error);
  }
}

interface LocatedProblem extends KeyedProblem {
  readonly line: number;
  readonly column: number;
}

function positionAt(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function invalidFileError(file: string, problems: readonly LocatedProblem[]): FleetError {
  const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const lines = sorted.map(
    ({ line, column, path, message }) => `  ${line}:${column} ${path ? `${path}: ` : ""}${message}`,
  );
  const issues = sorted.map(({ keys, path, message, line, column }) => {
    return { path: [...keys], code: "custom", field: path, message, line, column };
  });
  return new FleetError("invalid-input", `${file} is not valid:\n${lines.join("\n")}`, { issues });
}

/** The position of the key; if it is missing, that of the closest thing around it. */
function findOffset(document: Document, keys: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const key of keys) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
      if (!pair) return offset;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof key === "number") {
      node = node.items[key];
      offset = startOf(node) ?? offset;
    } else return offset;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  if (!isMap(node) && !isSeq(node) && !isScalar(node) && !isAlias(node)) return undefined;
  return node.range?.[0];
}

/** The two entries spell the same repository differently. */
function findDuplicateRepositories(products: Settings["products"]): KeyedProblem[] {
  const seen = new Map<string, string>();
  return products.flatMap(({ id, repository }, index) => {
    const first = seen.get(repository);
    seen.set(repository, first ?? id);
    return first === undefined
      ? []
      : [keyedProblem(["products", index, "repository"], `is the repository of ${first}, too`)];
  });
}

/** URLs and absolute paths are returned unchanged; `user@host:path` is a URL too. */
function resolveRepository(repository: string, folder: string): string {
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(repository) || /^[^/\s]+@[^/\s]+:/.test(repository);
  return isUrl || isAbsolute(repository) ? repository : resolve(folder, repository);
}

export interface WatchedSettings {
  /** The current settings; while the file is not valid, the last valid ones. */
  readonly current: () => Settings;
  close(): Promise<void>;
}

interface WatchOptions {
  readonly configFile: string | undefined;
  readonly folder: string;
  readonly log: {
    info(facts: object, message: string): void;
    warn(facts: object, message: string): void;
  };
  /** Used by tests. */
  readonly everyMs?: number;
}

/** A kill switch in the file takes effect within two of these, because a file is read once two successive polls find it unchanged. */
const POLL_MS = 1_000;

/** Throws when the file is not valid now; later that is logged once for each state of the file. */
export async function watchSettings(options: WatchOptions): Promise<WatchedSettings> {
  const { configFile, folder, log, everyMs = POLL_MS } = options;
  const file = settingsPath(configFile, folder);
  let loadedStamp = await readStamp(file);
  let lastStamp = loadedStamp;
  let current = await loadSettings(configFile, folder);
  const loop = startLoop({
    everyMs,
    async step() {
      const stamp = await readStamp(file);
      const isStill = stamp === lastStamp;
      lastStamp = stamp;
      if (stamp === loadedStamp || !isStill) return;
      loadedStamp = stamp;
      try {
        // An editor that replaces a file removes it for a moment; an operator who wants no file restarts without one.
        if (stamp === MISSING) throw new FleetError("invalid-input", `${file} no longer exists.`);
        current = await loadSettings(configFile, folder);
        log.info({ component: "settings", file }, "fleet.yaml was read again");
      } catch (error) {
        log.warn({ component: "settings", file, error: String(error) }, "keeping the previous settings");
      }
    },
    onError: (error) => log.warn({ component: "settings", error: String(error) }, "fleet.yaml could not be checked"),
  });
  return { current: () => current, close: () => loop.stop() };
}

const MISSING = "none";

async function readStamp(file: string): Promise<string> {
  const found = await stat(file).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  });
  return found ? `${found.mtimeMs} ${found.ctimeMs} ${found.size} ${found.ino}` : MISSING;
}
