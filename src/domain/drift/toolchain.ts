/** The tools that a repository requires, read from the texts of its own files. Nothing here touches a disk. */
import { z } from "zod";
import { parseJson } from "../text/json.ts";
import { parseToml } from "../text/toml.ts";
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

const Package = z.object({ engines: z.object({ node: z.string() }) });
const PackageLock = z.object({ packages: z.object({ "": Package }) });
const UvLock = z.object({ "requires-python": z.string() });
const Pyproject = z.object({ project: UvLock });
const RustToolchain = z.object({ toolchain: z.object({ channel: z.string() }) });

type Reader = (text: string, file: string) => Requirement[];

/** The files that state a requirement, and how each is read. */
const MANIFEST_READERS: Readonly<Record<string, Reader>> = {
  "package.json": (text, file) => requirement("node", nodeEngine(text), `${file} engines.node`),
  ".nvmrc": (text, file) => exactVersion("node", text, file),
  ".node-version": (text, file) => exactVersion("node", text, file),
  ".python-version": (text, file) => exactVersion("python", text, file),
  ".tool-versions": toolVersions,
  "rust-toolchain": (text, file) => exactVersion("rust", text, file),
  "rust-toolchain.toml": (text, file) =>
    exactVersion("rust", RustToolchain.safeParse(parseToml(text)).data?.toolchain.channel ?? "", file),
  "pyproject.toml": (text, file) =>
    requirement(
      "python",
      Pyproject.safeParse(parseToml(text)).data?.project["requires-python"],
      `${file} requires-python`,
    ),
  "go.mod": (text, file) => goVersion(text, file),
};

/** The lock files that repeat one. */
const LOCKFILE_READERS: Readonly<Record<string, Reader>> = {
  "package-lock.json": (text, file) =>
    requirement("node", PackageLock.safeParse(parseJson(text)).data?.packages[""].engines.node, `${file} engines.node`),
  "uv.lock": (text, file) =>
    requirement("python", UvLock.safeParse(parseToml(text)).data?.["requires-python"], `${file} requires-python`),
};

/** The files to read. */
export const TOOLCHAIN_FILES: readonly string[] = [...Object.keys(MANIFEST_READERS), ...Object.keys(LOCKFILE_READERS)];

export interface Toolchain {
  readonly declared: readonly Requirement[];
  readonly locked: readonly Requirement[];
}

/** A file that cannot be parsed declares nothing: the product's own checks report that it is malformed. */
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

/** A file that names one version; an alias such as "lts/iron" or "stable" names none that could be compared. */
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

/** go.mod names the oldest Go that works. */
function goVersion(text: string, file: string): Requirement[] {
  const named = /^go\s+(?<version>\d+(?:\.\d+){0,2})\b/m.exec(text)?.groups?.["version"];
  return requirement("go", named && `>=${named}`, file);
}

function nodeEngine(text: string): string | undefined {
  return Package.safeParse(parseJson(text)).data?.engines.node;
}

function oneLine(text: string): string {
  return toStorable(text, 200).replaceAll(/\s+/g, " ").trim();
}
