/** Reads which tools a repository requires from the texts of its files. Nothing here accesses the disk. */
import { z } from "zod";
import { toStorable } from "../text/untrusted.ts";

export const Tool = z.enum(["node", "python", "go", "rust"]);
export type Tool = z.infer<typeof Tool>;

export interface Requirement {
  readonly tool: Tool;
  /** The range as written in the file, such as ">=20.19" or "3.12". */
  readonly range: string;
  /** The file and, if any, the field in it. */
  readonly source: string;
  /** True for a version to install, false for a range of acceptable ones. */
  readonly exact: boolean;
}

/** Lock files at the root of the repository, whose content is compared with the baseline. */
export const LOCKFILES = [
  "package-lock.json",
  "npm-shrinkwrap.json",
  "pnpm-lock.yaml",
  "yarn.lock",
  "uv.lock",
  "poetry.lock",
  "Cargo.lock",
  "go.sum",
] as const;

type Reader = (text: string, file: string) => Requirement[];

/** The files that declare a requirement, each with its reader. */
const MANIFEST_READERS: Readonly<Record<string, Reader>> = {
  "package.json": (text, file) => requirement("node", nodeEngine(text, []), `${file} engines.node`),
  ".nvmrc": (text, file) => exactVersion("node", text, file),
  ".node-version": (text, file) => exactVersion("node", text, file),
  ".python-version": (text, file) => exactVersion("python", text, file),
  ".tool-versions": toolVersions,
  "rust-toolchain": (text, file) => exactVersion("rust", text, file),
  "rust-toolchain.toml": (text, file) => exactVersion("rust", readTomlString(text, "channel") ?? "", file),
  "pyproject.toml": (text, file) =>
    requirement("python", readTomlString(text, "requires-python"), `${file} requires-python`),
  "go.mod": (text, file) => goVersion(text, file),
};

/** The lock files that repeat a requirement, each with its reader. */
const LOCKFILE_READERS: Readonly<Record<string, Reader>> = {
  "package-lock.json": (text, file) => requirement("node", nodeEngine(text, ["packages", ""]), `${file} engines.node`),
  "uv.lock": (text, file) => requirement("python", readTomlString(text, "requires-python"), `${file} requires-python`),
};

/** All files that have a reader. */
export const TOOLCHAIN_FILES: readonly string[] = [...Object.keys(MANIFEST_READERS), ...Object.keys(LOCKFILE_READERS)];

export interface Toolchain {
  readonly declared: readonly Requirement[];
  readonly locked: readonly Requirement[];
}

/** A file that cannot be parsed declares nothing: whether it is well-formed is the concern of the product's own checks. */
export function readToolchain(files: ReadonlyMap<string, string>): Toolchain {
  const all = (readers: Readonly<Record<string, Reader>>) =>
    Object.entries(readers).flatMap(([file, read]) => {
      const text = files.get(file);
      return text === undefined ? [] : read(text, file);
    });
  return { declared: all(MANIFEST_READERS), locked: all(LOCKFILE_READERS) };
}

function requirement(tool: Tool, range: string | undefined, source: string): Requirement[] {
  return range ? [{ tool, range: oneLine(range), source, exact: false }] : [];
}

/** Reads a file that names one version. Aliases such as "lts/iron" or "stable" are ignored, because they cannot be compared. */
function exactVersion(tool: Tool, text: string, source: string): Requirement[] {
  const named = /^\s*v?(?<version>\d+(?:\.\d+){0,2})\s*(?:#.*)?$/m.exec(text)?.groups?.["version"];
  return named ? [{ tool, range: named, source, exact: true }] : [];
}

const TOOL_BY_NAME: Readonly<Record<string, Tool>> = {
  nodejs: "node",
  node: "node",
  python: "python",
  golang: "go",
  go: "go",
  rust: "rust",
};

function toolVersions(text: string, file: string): Requirement[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", named = ""] = line.trim().split(/\s+/);
    const tool = Object.hasOwn(TOOL_BY_NAME, name) ? TOOL_BY_NAME[name] : undefined;
    return tool ? exactVersion(tool, named, file) : [];
  });
}

/** The go directive of go.mod is a minimum version. */
function goVersion(text: string, file: string): Requirement[] {
  const named = /^go\s+(?<version>\d+(?:\.\d+){0,2})\b/m.exec(text)?.groups?.["version"];
  return requirement("go", named && `>=${named}`, file);
}

const Engines = z.object({ engines: z.object({ node: z.string() }) });

function nodeEngine(text: string, path: readonly string[]): string | undefined {
  try {
    let value: unknown = JSON.parse(text);
    for (const key of path) value = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
    return Engines.safeParse(value).data?.engines.node;
  } catch {
    return undefined;
  }
}

/** Reads one string from a TOML file. It may ignore tables, because the keys it is used for occur only once per file. */
function readTomlString(text: string, key: string): string | undefined {
  return new RegExp(`^\\s*${key}\\s*=\\s*(["'])(?<value>[^"'\\n]*)\\1`, "m").exec(text)?.groups?.["value"];
}

function oneLine(text: string): string {
  return toStorable(text, 200).replaceAll(/\s+/g, " ").trim();
}
